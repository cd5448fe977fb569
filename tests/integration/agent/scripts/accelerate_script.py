"""A user's script for Accelerate, which finds the other ranks by itself."""

import sys

import torch
from accelerate import Accelerator

accelerator = Accelerator(cpu=True)
model = torch.nn.Linear(1, 1)
prepared, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
accelerator.backward(prepared(torch.ones(1, 1)).sum())
optimizer.step()
# One write, so that the lines of ranks do not mix.
sys.stdout.write(f"ranks {accelerator.num_processes}\n")
