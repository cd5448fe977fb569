"""A training script that logs five metrics in each step, or none; prints what its steps took.

It counts after some seconds, when whatever is beside it has started.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import psutil
import torch
from torch.nn import functional

from tests.bench.starting import mlp

WARM_UP_SECONDS, SECONDS = 4.0, 12.0
INTERVAL_SECONDS = 2.0
_BATCHES_A_STEP = 8

Log = Callable[[dict[str, float], int], object]


def logger(how: str) -> Log:
    """What is called in each step."""
    if how == "mlflow":
        import mlflow

        mlflow.start_run()
        return lambda values, step: mlflow.log_metrics(values, step=step)
    if how == "wandb":
        import wandb

        settings = wandb.Settings(
            x_stats_sampling_interval=INTERVAL_SECONDS, console="off", silent=True
        )
        run = wandb.init(mode="offline", dir=sys.argv[2], project="bench", settings=settings)
        return lambda values, step: run.log(values, step=step)
    return log_nothing


def log_nothing(values: dict[str, float], step: int) -> None:
    """Stand for a logger, so that the step is the same."""


def cpu_seconds_beside() -> float:
    """CPU time of all but the training's thread: other threads, wandb's processes, the agent."""
    me = psutil.Process()
    beside = me.children(recursive=True)
    if "TRAININGJOB_SCRIPT_DIR" in os.environ:
        beside.append(psutil.Process(os.getppid()))
    times = [one.cpu_times() for one in beside]
    threads = time.process_time() - time.thread_time()
    return threads + sum(one.user + one.system for one in times)


def main() -> None:
    """Train for some seconds; the last line is a JSON object."""
    torch.set_num_threads(1)
    log = logger(sys.argv[1])
    model = mlp.build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    images, labels = torch.rand(512, 1, 28, 28), torch.randint(0, 10, (512,))
    times: list[float] = []
    calls: list[float] = []
    step, begun, beside = 0, time.perf_counter(), 0.0
    counting = begun + WARM_UP_SECONDS
    end = begun
    while end < counting + SECONDS:
        if end >= counting and not times:
            beside = cpu_seconds_beside()
        began = time.perf_counter()
        for _ in range(_BATCHES_A_STEP):
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            optimizer.step()
        step += 1
        values = {f"train/metric_{number}": loss.item() / number for number in range(1, 6)}
        called = time.thread_time()
        log(values, step)
        call = time.thread_time() - called
        end = time.perf_counter()
        if began >= counting:
            times.append(end - began)
            calls.append(call)
    share = (cpu_seconds_beside() - beside) / (end - counting)
    print(json.dumps({"steps": times, "calls": calls, "share_beside": share}), flush=True)


if __name__ == "__main__":
    main()
