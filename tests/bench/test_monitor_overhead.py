"""What a monitor costs a step: none, ours, with eight GPUs, with MLflow hung, MLflow's, wandb's.

All in one process, block by block in turns, so that a busy machine is busy for all of them. A
monitor starts in the seconds before each block, which do not count: a training has one start. The
step is one of MNIST on one thread: what runs beside it is the monitor and its sender. The GPUs are
those of tests/native: real calls into a library, without a driver behind it. Figures are printed,
not judged.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import torch
import wandb
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from torch import Tensor, nn
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.monitor import SystemMonitor
from trainingjob_trainer.tasks.mnist import MnistTask

from tests.bench.report import report
from tests.support.nvml import HEALTHY, Driver, driver, nvml_script
from tests.support.processes import MlflowServer

__all__ = ["driver", "nvml_script"]

ROUNDS = 8
WARM_UP_SECONDS = 3.0
BLOCK_SECONDS = 6.0
DEFAULT_SECONDS = 10.0
INTERVAL_SECONDS = 2.0
"""Five times as often as by default, so that a block holds several samples."""


@dataclass
class Cost:
    """Of one kind of block: times of its steps; CPU time of all but the training's thread.

    Of the steps there is the median of each block: a shared machine is faster in one minute than in
    the next, so a block is compared with that of the same turn.
    """

    steps: list[float] = field(default_factory=list)
    step_cpu: list[float] = field(default_factory=list)
    wall_seconds: float = 0.0
    other_cpu_seconds: float = 0.0


class Training:
    """One step of MNIST, again and again."""

    def __init__(self) -> None:
        task = MnistTask()
        self.model: nn.Module = task.build_model()
        self.optimizer = task.build_optimizer(self.model, 1e-3)
        self.images, self.labels = torch.rand(32, 1, 28, 28), torch.randint(0, 10, (32,))

    def step(self) -> None:
        loss: Tensor = nn.functional.cross_entropy(self.model(self.images), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        self.optimizer.step()

    def block(self, cost: Cost, seconds: float) -> None:
        """Train for some seconds and add to the cost."""
        wall, cpu = time.perf_counter(), other_cpu_seconds()
        end = wall
        steps, step_cpu = [], []
        while end - wall < seconds:
            began, began_cpu = end, time.thread_time()
            self.step()
            end = time.perf_counter()
            steps.append(end - began)
            step_cpu.append(time.thread_time() - began_cpu)
        cost.steps.append(statistics.median(steps))
        cost.step_cpu.append(statistics.median(step_cpu))
        cost.wall_seconds += end - wall
        cost.other_cpu_seconds += other_cpu_seconds() - cpu


def other_cpu_seconds() -> float:
    """CPU time of the other threads, and of the processes that a monitor started."""
    threads = time.process_time() - time.thread_time()
    started = [child.cpu_times() for child in monitors_processes()]
    return threads + sum(one.user + one.system for one in started)


def monitors_processes() -> list[psutil.Process]:
    """The processes of wandb; the MLflow server is ours, too, and runs on another host in truth."""
    wandbs = [child for child in psutil.Process().children() if "wandb" in child.name()]
    return [one for process in wandbs for one in (process, *process.children(recursive=True))]


@contextmanager
def ours(server: MlflowServer, run_id: str) -> Iterator[None]:
    """Our monitor and our sender."""
    sender = Sender(RunConnection(Contract(tracking_uri=server.uri, run_id=run_id)))
    monitor = SystemMonitor(sender, interval_seconds=INTERVAL_SECONDS)
    sender.start()
    monitor.start()
    yield
    monitor.stop()
    sender.close(within_seconds=2)


@contextmanager
def ours_with_gpus(driver: Driver, server: MlflowServer, run_id: str) -> Iterator[None]:
    """The same on a node with eight GPUs that count all there is to count."""
    activity = {f"nvmlGpmMetricsGet/{metric}": "50" for metric in (1, 2, 3, 5, 10)}
    support = {"nvmlDeviceGetCount_v2": "8", "nvmlGpmQueryDeviceSupport": "1"}
    driver.set({**HEALTHY, **support, **activity})
    with ours(server, run_id):
        yield
    driver.set({"nvmlDeviceGetCount_v2": "0"})


@contextmanager
def ours_hung(server: MlflowServer, run_id: str) -> Iterator[None]:
    """The same with a server that takes connections and never answers."""
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        with ours(server, run_id):
            yield
    finally:
        os.killpg(server.pid, signal.SIGCONT)


@contextmanager
def mlflows_own(server: MlflowServer, run_id: str) -> Iterator[None]:
    """MLflow's monitor at the same interval."""
    monitor = SystemMetricsMonitor(run_id, INTERVAL_SECONDS, tracking_uri=server.uri)  # type: ignore[no-untyped-call]  # MLflow's
    monitor.start()  # type: ignore[no-untyped-call]  # MLflow's
    yield
    monitor.finish()  # type: ignore[no-untyped-call]  # MLflow's


@contextmanager
def wandb_offline(directory: Path) -> Iterator[None]:
    """wandb's at the same interval, which writes to files only."""
    settings = wandb.Settings(
        x_stats_sampling_interval=INTERVAL_SECONDS, console="off", silent=True
    )
    run = wandb.init(mode="offline", dir=directory, project="bench", settings=settings)
    yield
    run.finish()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path)
    server.start()
    yield server
    server.end()


@pytest.mark.timeout(1200)
def test_a_step_beside_a_monitor(server: MlflowServer, driver: Driver, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    driver.set({"nvmlDeviceGetCount_v2": "0"})

    run_id = MlflowClient(server.uri).create_run("0").info.run_id
    kinds: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "no monitor": nullcontext,
        "ours": lambda: ours(server, run_id),
        "ours, eight stub GPUs": lambda: ours_with_gpus(driver, server, run_id),
        "ours, MLflow hung": lambda: ours_hung(server, run_id),
        "MLflow's own": lambda: mlflows_own(server, run_id),
        "wandb, offline": lambda: wandb_offline(tmp_path),
    }
    costs = {kind: Cost() for kind in kinds}
    torch.set_num_threads(1)
    training = Training()
    training.block(Cost(), 2.0)
    for turn in range(ROUNDS):
        order = list(kinds)[turn % len(kinds) :] + list(kinds)[: turn % len(kinds)]
        for kind in order:
            with kinds[kind]():
                training.block(Cost(), WARM_UP_SECONDS)
                training.block(costs[kind], BLOCK_SECONDS)

    baseline = costs["no monitor"]
    report(
        "monitor",
        f"A monitor with a sample every {INTERVAL_SECONDS:g} s",
        ("median step", "beside none", "its CPU time", "beside none", "a core's share at 10 s"),
        *(row(kind, cost, baseline) for kind, cost in costs.items()),
    )
    assert all(cost.steps for cost in costs.values())


def beside_turns(medians: list[float], baseline: list[float]) -> tuple[str, str]:
    """The median of all turns, and that of how much more it was than without in the same turn."""
    more = statistics.median(one / none - 1 for one, none in zip(medians, baseline, strict=True))
    return (f"{1e3 * statistics.median(medians):.3f} ms", f"{100 * more:+.2f} %")


def row(kind: str, cost: Cost, baseline: Cost) -> tuple[str, ...]:
    """One kind of monitor; at the default interval it does the same a fifth as often."""
    share = cost.other_cpu_seconds / cost.wall_seconds * INTERVAL_SECONDS / DEFAULT_SECONDS
    return (
        kind,
        *beside_turns(cost.steps, baseline.steps),
        *beside_turns(cost.step_cpu, baseline.step_cpu),
        f"{100 * share:.3f} %",
    )
