"""A user's script for torchrun, of which rank 1 ends as the test says."""

import os
import signal
import sys

import torch
from torch import distributed

distributed.init_process_group("gloo")
rank = distributed.get_rank()
distributed.barrier()
if rank == 1:
    match sys.argv[1]:
        case "raise":
            raise KeyError("label")
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
distributed.all_reduce(torch.ones(1))
sys.stdin.read()
