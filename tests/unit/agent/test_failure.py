import json
from errno import EADDRINUSE, EDQUOT, ENOENT, ENOSPC
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.elastic.rendezvous import RendezvousTimeoutError
from trainingjob_agent.causes.advice import advised
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
from trainingjob_trainer.task import TaskNotFoundError

BUS_ERROR = (
    "DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory. Please try to raise your shared memory limit."
)
NCCL_SHARED_MEMORY = (
    "NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled system error, NCCL version 2.29.3\n"
    "Last error:\nError while creating shared memory segment /dev/shm/nccl-ab12 (size 9637888), "
    "error: No space left on device (28)"
)
PORT_TAKEN = (
    "The server socket has failed to listen on any local network address. port: 29500, useIpv6: "
    "false, code: -98, name: EADDRINUSE, message: address already in use"
)
WATCHDOG = (
    "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=2, OpType=ALLREDUCE, "
    "NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600013 milliseconds before timing out."
)
COLLECTIVE = torch.distributed.DistBackendError
STORE = torch.distributed.DistStoreError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "CudaOutOfMemory"),
        (torch.AcceleratorError("CUDA error: out of memory"), "CudaOutOfMemory"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            "CudaOutOfMemory",
        ),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "CudaError"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "CudaError"),
        (COLLECTIVE("NCCL timeout"), "NcclError"),
        (COLLECTIVE(WATCHDOG), "CollectiveTimeout"),
        (
            RuntimeError("[gloo] Timed out waiting 3000ms for recv operation to complete"),
            "CollectiveTimeout",
        ),
        (RuntimeError("[gloo/transport] Connection closed by peer"), "CommunicationFailure"),
        (
            STORE("Timed out after 61 seconds waiting for clients. 1/2 clients joined."),
            "RendezvousFailure",
        ),
        (
            torch.distributed.DistNetworkError(
                "The client socket has timed out after 60000ms while trying to connect to (a, 1)."
            ),
            "RendezvousFailure",
        ),
        (RendezvousTimeoutError(), "RendezvousFailure"),
        (torch.distributed.DistNetworkError(PORT_TAKEN), "AddressInUse"),
        (OSError(EADDRINUSE, "Address already in use"), "AddressInUse"),
        (
            RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly"),
            "DataLoaderWorkerDied",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "DataLoaderWorkerDied",
        ),
        (RuntimeError(BUS_ERROR), "SharedMemoryExhausted"),
        (
            RuntimeError("unable to write to file </torch_12_3>: No space left on device (28)"),
            "SharedMemoryExhausted",
        ),
        (
            RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1>: Try again (11)"
            ),
            "SharedMemoryExhausted",
        ),
        (COLLECTIVE(NCCL_SHARED_MEMORY), "SharedMemoryExhausted"),
        (OSError(ENOSPC, "No space left on device", "/dev/shm/cache"), "SharedMemoryExhausted"),  # noqa: S108
        (
            RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal …"),
            "UserException",
        ),
        (MemoryError(), "OutOfMemory"),
        (ModuleNotFoundError("No module named 'x'"), "ImportFailure"),
        (ImportError("libcudart.so.12: cannot open shared object file"), "ImportFailure"),
        (OSError(ENOSPC, "No space left on device"), "DiskFull"),
        (OSError(EDQUOT, "Disk quota exceeded"), "DiskFull"),
        (ValueError('IoError(Os { code: 28, message: "No space left on device" })'), "DiskFull"),
        (
            RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598"),
            "DiskFull",
        ),
        (
            OSError("libcudart.so.99: cannot open shared object file: No such file or directory"),
            "ImportFailure",
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
            "DiskFull",
        ),
        (ContractError("TRAININGJOB_ATTEMPT: …"), "InvalidConfiguration"),
        (TaskNotFoundError("no task 'x'"), "InvalidConfiguration"),
        (
            RuntimeError("Dataset not found. You can use download=True to download it"),
            "FileNotFound",
        ),
        (
            OSError("/models/a does not appear to have a file named config.json. Checkout …"),
            "FileNotFound",
        ),
        (FileNotFoundError(ENOENT, "No such file or directory", "data.csv"), "FileNotFound"),
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


OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.77 GiB of "
    "which 1.10 GiB is free. Of the allocated memory 13.20 GiB is allocated by PyTorch, and 300.00 "
    "MiB is reserved by PyTorch but unallocated."
)


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("UserException", "label 11 is out of range", "label 11 is out of range"),
        (
            "CudaOutOfMemory",
            f"{OUT_OF_MEMORY} If reserved but unallocated memory is large try setting …",
            (
                f"{OUT_OF_MEMORY} Use a smaller batch, gradient accumulation, mixed precision "
                "or a larger GPU; PYTORCH_ALLOC_CONF=expandable_segments:True if much is reserved "
                "but not allocated."
            ),
        ),
        (
            "AddressInUse",
            "address already in use\nException raised from listen at socket.cpp:99",
            (
                "address already in use. Another process of the pod listens on this port: end it, "
                "or set MASTER_PORT in spec.env."
            ),
        ),
        (
            "FileNotFound",
            "/" * 900,
            "/" * 799 + "…. Check the path, spec.volumeMounts, and what the image has there.",
        ),
    ],
)
def test_a_message_says_what_to_do(reason: str, message: str, expected: str) -> None:
    assert advised(reason, message) == expected


def test_what_an_exception_only_passes_on_is_reported_in_place_of_it() -> None:
    passed_on = FileNotFoundError(
        "Caught FileNotFoundError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        '  File "/app/data.py", line 9, in __getitem__\n'
        "    return open(path)\n"
        "FileNotFoundError: [Errno 2] No such file or directory: '/data/a.png'\n"
    )

    assert describe_exception(passed_on) == Termination(
        reason="FileNotFound",
        message="[Errno 2] No such file or directory: '/data/a.png'. Check the path, "
        "spec.volumeMounts, and what the image has there.",
        exception="FileNotFoundError",
        frame="/app/data.py:9 in __getitem__",
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
def test_what_is_wrong_with_a_gpu_is_reported_first(
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


def test_a_file_name_in_another_encoding_does_not_hide_the_cause(
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
