"""Fits a line to points, slowly enough to be watched; from a file of points, if one is named.

torchrun fit.py [--steps 60] [--data FILE]
"""

import argparse
import time
from pathlib import Path

import mlflow
import torch
from torch import nn
from trainingjob_agent import report_progress

SECONDS_PER_STEP = 0.4
SHOWN_EVERY = 10


def points(data: Path | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Points near a line: those of the file, or random ones."""
    if data is not None:
        x, y = torch.load(data)
        return x, y
    x = torch.rand(256, 1)
    return x, 3 * x + 1 + 0.05 * torch.randn(256, 1)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    x, y = points(given.data)
    torch.distributed.init_process_group("gloo")
    model = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mlflow.start_run():
        for step in range(1, given.steps + 1):
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            optimizer.step()
            mlflow.log_metric("train/loss", loss.item(), step=step)
            report_progress(step, total=given.steps)
            if step % SHOWN_EVERY == 0:
                print(f"step {step}, loss {loss.item():.4f}", flush=True)
            time.sleep(SECONDS_PER_STEP)


if __name__ == "__main__":
    main()
