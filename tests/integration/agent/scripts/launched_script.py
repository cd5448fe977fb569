"""A user's script for any launcher: it joins the ranks that its environment names, and trains."""

import os
import sys

import torch
from torch import distributed

alone = "--alone" in sys.argv
if not alone:
    distributed.init_process_group("gloo")
weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.SGD([weight], lr=0.1)
for _ in range(2):
    weight.grad = torch.ones(1)
    if not alone:
        distributed.all_reduce(weight.grad)
    optimizer.step()
    if "--fail" in sys.argv and os.environ["RANK"] == "1":
        raise KeyError("label")
# One write, so that the lines of ranks do not mix.
sys.stdout.write(f"ranks {1 if alone else distributed.get_world_size()}\n")
