"""Attempts of a training, each in processes of its own which need not import torch again."""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.integration.trainer.rank import train
from tests.support.processes import free_port

_SECONDS = 300
IMPORTED = [
    "trainingjob_trainer.worker",
    "trainingjob_trainer.checkpoint.tensors",
    "torch._dynamo",
]


def exact(state: object) -> object:
    """Replace each tensor by its type and its values, which compare by `==`."""
    match state:
        case torch.Tensor():
            return str(state.dtype), state.tolist()
        case dict():
            return {key: exact(value) for key, value in state.items()}
        case list() | tuple():
            return [exact(value) for value in state]
        case _:
            return state


@dataclass
class Attempts:
    """Trains a task with `arguments`, again and again in the same directory."""

    directory: Path
    arguments: tuple[str, ...]
    ranks: int = 1
    task: str = "tiny_task:TinyTask"
    share_directory: bool = True

    def run(self, **environment: str) -> list[int]:
        """Train as one attempt; return the exit code of each rank (-9 after SIGKILL)."""
        # A server that has imported all of the trainer, but started nothing, forks each process.
        # The first optimizer imports torch._dynamo, which takes longer than all of the training.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        port = str(free_port())
        processes = [
            context.Process(
                target=train,
                args=(
                    ["run", self.task, *self.arguments],
                    self._environment(rank, port) | environment,
                ),
            )
            for rank in range(self.ranks)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(_SECONDS)
            assert process.exitcode is not None, self.output()
        return [int(process.exitcode or 0) for process in processes]

    def records(self, rank: int = 0) -> list[str]:
        """Return a line for each batch, over all attempts: its number, its loss, its images."""
        file = self.directory / f"rank_{rank}"
        return file.read_text().splitlines() if file.exists() else []

    def output(self) -> str:
        """Return what all ranks of all attempts logged."""
        return "".join(file.read_text() for file in sorted(self.directory.glob("*.log")))

    def _environment(self, rank: int, port: str) -> dict[str, str]:
        directory = self.directory if self.share_directory else self.directory / str(rank)
        return {
            "TRAININGJOB_CHECKPOINT_DIR": str(directory),
            "TRAININGJOB_MONITOR_ENABLED": "false",
            "TRAININGJOB_TERMINATION_LOG": str(self.directory / "termination-log"),
            "TINY_RECORD": str(self.directory),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.ranks),
            "LOCAL_WORLD_SIZE": str(self.ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "GLOO_SOCKET_IFNAME": "lo",
        }
