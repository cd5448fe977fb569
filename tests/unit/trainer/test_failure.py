import json
from errno import ENOSPC
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_agent.causes.reasons import classify
from trainingjob_agent.causes.termination import (
    MAX_MESSAGE_BYTES,
    Termination,
    blame_gpus,
    describe_exception,
    write_termination_message,
)
from trainingjob_agent.contract import ContractError
from trainingjob_agent.monitor import GpuFault
from trainingjob_trainer.task import TaskNotFoundError, load_task


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "CudaOutOfMemory"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "CudaError"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "CudaError"),
        (torch.distributed.DistBackendError("NCCL timeout"), "NcclError"),
        (RuntimeError("[gloo/transport] Connection closed by peer"), "CommunicationFailure"),
        (
            RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly"),
            "DataLoaderWorkerDied",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "DataLoaderWorkerDied",
        ),
        (
            RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal …"),
            "UserException",
        ),
        (MemoryError(), "OutOfMemory"),
        (ModuleNotFoundError("No module named 'x'"), "ImportFailure"),
        (OSError(ENOSPC, "No space left on device"), "DiskFull"),
        (ContractError("TRAININGJOB_ATTEMPT: …"), "InvalidConfiguration"),
        (TaskNotFoundError("no task 'x'"), "InvalidConfiguration"),
        (FileNotFoundError("data.csv"), "UserException"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "UserException"),
        (SystemExit(3), "UserException"),
    ],
)
def test_reason_of_an_exception(error: BaseException, reason: str) -> None:
    assert classify(error) == reason


def test_the_frame_is_the_last_line_of_user_code_not_of_the_library_that_raised() -> None:
    def users_code() -> None:
        torch.nn.Linear(3, 1)(torch.zeros(2, 2))

    with pytest.raises(RuntimeError, match="shapes") as raised:
        users_code()
    termination = describe_exception(raised.value, rank=1, epoch=2, step=30)

    line = users_code.__code__.co_firstlineno + 1
    assert termination == Termination(
        reason="UserException",
        message=str(raised.value),
        exception="RuntimeError",
        frame=f"{__file__}:{line} in users_code",
        rank=1,
        epoch=2,
        step=30,
    )


CUDA = Termination("CudaError", "CUDA error: unspecified launch failure", rank=1)
LOST = GpuFault(1, "GpuLost", "GPU 1 fell off the bus: Xid 79 (the GPU fell off the bus)")
XID = GpuFault(0, "GpuXidError", "GPU 0: Xid 31 (memory page fault)")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([], CUDA),
        (
            [XID],
            Termination(
                "CudaError",
                "GPU 0: Xid 31 (memory page fault). CUDA error: unspecified launch failure",
                rank=1,
            ),
        ),
        (
            [XID, LOST],
            Termination(
                "GpuLost",
                "GPU 0: Xid 31 (memory page fault); GPU 1 fell off the bus: Xid 79 (the GPU fell"
                " off the bus). CUDA error: unspecified launch failure",
                rank=1,
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_gpu_is_told_first(
    faults: list[GpuFault], expected: Termination
) -> None:
    assert blame_gpus(CUDA, faults) == expected


def test_the_first_failure_of_a_pod_is_the_one_that_stays(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    cause = Termination("UserException", "label 11 is out of range", rank=1)

    write_termination_message(cause, log)
    write_termination_message(Termination("CommunicationFailure", "peer is gone", rank=0), log)

    assert json.loads(log.read_text()) == {
        "reason": "UserException",
        "message": "label 11 is out of range",
        "exception": "",
        "frame": "",
        "rank": 1,
        "epoch": None,
        "step": None,
    }


def test_a_place_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_termination_message(Termination("Signal", "…"), tmp_path / "absent" / "log")

    assert "cannot write the termination message" in caplog.text


def test_a_file_name_in_another_code_does_not_keep_the_cause_from_being_told(
    tmp_path: Path,
) -> None:
    log = tmp_path / "termination-log"
    path = b"/data/caf\xe9.png".decode(errors="surrogateescape")

    write_termination_message(describe_exception(ValueError(f"cannot decode {path}")), log)

    assert json.loads(log.read_text())["message"] == "cannot decode /data/caf?.png"


@given(message=st.text(max_size=9000), exception=st.text(max_size=2000), frame=st.text())
def test_the_kubelet_never_cuts_the_message(message: str, exception: str, frame: str) -> None:
    text = Termination("UserException", message, exception, frame).to_json()

    assert len(text.encode()) <= MAX_MESSAGE_BYTES
    assert json.loads(text)["reason"] == "UserException"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "no task 'mnst': use one of mnist, mnist-denoise, or package.module:Class"),
        ("json:Loader", "module 'json' has no class 'Loader'"),
        (
            "collections:OrderedDict",
            (
                "collections:OrderedDict is not a task: it lacks name, build_model, "
                "build_loaders, loss, metrics, build_optimizer, build_scheduler"
            ),
        ),
    ],
)
def test_a_task_that_is_none_is_explained(name: str, message: str) -> None:
    with pytest.raises(TaskNotFoundError) as raised:
        load_task(name)

    assert str(raised.value) == message
