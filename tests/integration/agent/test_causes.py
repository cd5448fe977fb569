"""Failures as Python and torch themselves raise them, and the message that says what to do."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent.executing import ended, termination, torchrun
from tests.support.pod_process import Trainer
from tests.support.processes import free_port

TOLERATED = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '1 / 0'])\n"
"""A helper's error that the script goes on after: never the cause."""
GLOO = """
import datetime, socket, sys, time
from torch import distributed, ones
def meet(port, world_size):
    address, limit = f'tcp://127.0.0.1:{port}', datetime.timedelta(seconds=3)
    distributed.init_process_group(
        'gloo', init_method=address, rank=0, world_size=world_size, timeout=limit)
"""
FAILURES = [
    pytest.param(
        "import torch\ntorch.save({'weight': torch.zeros(10_000)}, '/dev/full')",
        "DiskFull",
        "A larger volume, fewer checkpoints",
        id="disk, by torch",
    ),
    pytest.param(
        "with open('/dev/full', 'w') as log:\n  log.write('x')",
        "DiskFull",
        "a higher limit of ephemeral-storage",
        id="disk, by Python",
    ),
    pytest.param(
        f"{GLOO}\ntaken = socket.create_server(('127.0.0.1', 0))\n"
        "meet(taken.getsockname()[1], world_size=1)",
        "AddressInUse",
        "set MASTER_PORT in spec.env",
        id="port",
    ),
    pytest.param(
        f"{GLOO}\nmeet({free_port()}, world_size=2)",
        "RendezvousFailure",
        "Not all ranks joined the rendezvous",
        id="rendezvous",
    ),
    pytest.param(
        "import torch\ntorch.load('/checkpoints/last.pt')",
        "FileNotFound",
        "Check the path, spec.volumeMounts",
        id="checkpoint",
    ),
    pytest.param(
        "from torch.utils.data import DataLoader\n"
        "class Data(list):\n"
        "  def __getitem__(self, index):\n    return open(f'/data/{index}.png').read()\n"
        "for batch in DataLoader(Data(range(9)), num_workers=1):\n  pass",
        "FileNotFound",
        "'/data/0.png'",
        id="data, in a loader's worker",
    ),
    pytest.param(
        "import no_such_package.model", "ImportFailure", "Add it to the image", id="module"
    ),
    pytest.param(
        "import ctypes\nctypes.CDLL('libcudart.so.99')",
        "ImportFailure",
        "LD_LIBRARY_PATH",
        id="library",
    ),
]


@pytest.mark.parametrize(("text", "reason", "advice"), FAILURES)
def test_the_cause_is_the_scripts_own_error_and_says_what_to_do(
    trainer: Trainer, tmp_path: Path, text: str, reason: str, advice: str
) -> None:
    (tmp_path / "script.py").write_text(TOLERATED + text)

    code, _, errors = ended(trainer.execute(sys.executable, f"{tmp_path}/script.py"))

    reported = termination(trainer)
    assert code == 1, errors
    assert (reported["reason"], reported["rank"]) == (reason, 0), reported
    assert advice in reported["message"]
    assert "ZeroDivisionError" not in reported["message"]
    assert "script.py:" in reported["frame"]


RANK_1_IS_LATE = f"""{GLOO}
distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=3))
distributed.barrier()
if distributed.get_rank() == 1:
    time.sleep(600)  # until torchrun ends it
distributed.all_reduce(ones(1))
"""


def test_a_rank_that_others_wait_for_in_vain(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(RANK_1_IS_LATE)

    code, _, errors = ended(trainer.execute(*torchrun(f"{tmp_path}/script.py")))

    reported: dict[str, Any] = termination(trainer)
    assert code == 1, errors
    assert (reported["reason"], reported["rank"]) == ("CollectiveTimeout", 0), reported
    assert "look for the one that failed, hangs or was still busy with data" in reported["message"]
    assert reported["frame"].endswith("script.py:13 in <module>")
