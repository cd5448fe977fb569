"""Which reason the job's status shows for an exception, by its types and its text. Pure."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

USER_EXCEPTION = "UserException"

GPU_REASONS = frozenset({"CudaError", "NcclError", "CommunicationFailure", "Signal"})
"""Failures behind which a broken GPU may be."""

_BY_TYPE = {
    "trainingjob_agent.contract.ContractError": "InvalidConfiguration",
    "trainingjob_trainer.checkpoint.lease.DirectoryInUseError": "InvalidConfiguration",
    "trainingjob_trainer.model_logging.background.ModelNotLoggedError": "ModelNotLogged",
    "trainingjob_trainer.options.OptionError": "InvalidConfiguration",
    "trainingjob_trainer.settings.SettingError": "InvalidConfiguration",
    "trainingjob_trainer.task.TaskNotFoundError": "InvalidConfiguration",
    "torch.distributed.elastic.rendezvous.api.RendezvousConnectionError": "RendezvousFailure",
    "torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError": "RendezvousFailure",
    "torch.OutOfMemoryError": "CudaOutOfMemory",
    "torch.cuda.OutOfMemoryError": "CudaOutOfMemory",
    "FileNotFoundError": "FileNotFound",
    "MemoryError": "OutOfMemory",
    "ImportError": "ImportFailure",
}
_ANY = "Exception"
_BY_TEXT = (
    # Before the general words for a disk: /dev/shm is one, too.
    ("RuntimeError", "out of shared memory", "SharedMemoryExhausted"),
    ("RuntimeError", "unable to allocate shared memory", "SharedMemoryExhausted"),
    ("RuntimeError", "unable to write to file </torch_", "SharedMemoryExhausted"),
    ("RuntimeError", "error while creating shared memory segment", "SharedMemoryExhausted"),
    ("OSError", "no space left on device: '/dev/shm", "SharedMemoryExhausted"),
    ("OSError", "no space left on device: '/psm_", "SharedMemoryExhausted"),
    (_ANY, "no space left on device", "DiskFull"),
    (_ANY, "disk quota exceeded", "DiskFull"),
    ("RuntimeError", "pytorchstreamwriter failed writing", "DiskFull"),
    # torch.save, which finds at the end that less was written than it wrote.
    ("RuntimeError", "] . unexpected pos ", "DiskFull"),
    (_ANY, "address already in use", "AddressInUse"),
    ("OSError", "cannot open shared object file", "ImportFailure"),
    # Transformers, and torchvision of a folder without its files.
    ("OSError", "is not a local folder and is not a valid model", "FileNotFound"),
    ("OSError", "does not appear to have a file named", "FileNotFound"),
    ("RuntimeError", "dataset not found", "FileNotFound"),
    *(
        ("RuntimeError", mark, "RendezvousFailure")
        for mark in (
            "waiting for clients",
            "client socket has timed out",
            "client socket has failed to connect",
            "store based barrier",
            "wait timeout after",
            "gloo connectfullmesh failed",
        )
    ),
    *(
        ("RuntimeError", mark, "CollectiveTimeout")
        for mark in (
            "watchdog caught collective operation timeout",
            "watchdog got stuck",
            "ms for recv operation to complete",
            "ms for send operation to complete",
            "application timeout caused pair closure",
            "failed to pass monitoredbarrier",
        )
    ),
    ("RuntimeError", "dataloader worker (pid", "DataLoaderWorkerDied"),
    *(
        ("RuntimeError", mark, "CudaOutOfMemory")
        for mark in (
            "cuda out of memory",
            "hip out of memory",
            "cuda error: out of memory",
            "cublas_status_alloc_failed",
            "cudnn_status_alloc_failed",
        )
    ),
    ("RuntimeError", "nccl", "NcclError"),
    ("RuntimeError", "cuda error", "CudaError"),
    *(
        (kind, mark, "CommunicationFailure")
        for kind in ("RuntimeError", "ConnectionError")
        for mark in ("gloo", "connection closed by peer", "connection reset by peer")
    ),
    ("torch.AcceleratorError", "", "CudaError"),
)
"""A type, words in the lower case of its message, and the reason; the first that fits counts."""


def classify(error: BaseException) -> str:
    """Return the reason for an exception; `UserException` if it is none that we know."""
    return reason_of(map(qualified_name, type(error).__mro__), str(error))


def classify_text(name: str, text: str) -> str:
    """Return the reason for an exception of which only the name and the message were printed."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type):
        return reason_of(map(qualified_name, kind.__mro__), text)
    # Errors of torch and of its C++ parts are RuntimeErrors by another name.
    return reason_of([name, "RuntimeError", _ANY], text)


def reason_of(names: Iterable[str], text: str) -> str:
    """Return the reason for an exception whose class and base classes are `names`."""
    names = list(names)
    for name in names:
        if name in _BY_TYPE:
            return _BY_TYPE[name]
    lower = text.lower()
    found = (reason for kind, mark, reason in _BY_TEXT if kind in names and mark in lower)
    return next(found, USER_EXCEPTION)


def qualified_name(kind: type) -> str:
    """Return the name of a type as a traceback prints it."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
