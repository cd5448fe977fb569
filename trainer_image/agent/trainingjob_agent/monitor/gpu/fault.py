"""What is wrong with a GPU, as a cause of a failure."""

from dataclasses import dataclass

XID_FELL_OFF_THE_BUS = 79

_XIDS = {
    13: "graphics engine exception, often an error in a kernel",
    31: "memory page fault, often an illegal address in a kernel",
    43: "the GPU stopped processing, often an error in a kernel",
    45: "clean-up after earlier errors",
    48: "double-bit ECC error",
    63: "memory row remapped",
    64: "memory row could not be remapped",
    74: "NVLink error",
    79: "the GPU fell off the bus",
    94: "contained ECC error",
    95: "uncontained ECC error",
    119: "time-out of the GPU's system processor",
}
"""NVIDIA, "Xid Errors"; only those that a training job meets."""


@dataclass(frozen=True, slots=True)
class GpuFault:
    """A fault of one GPU; `reason` is one for the status of the job: GpuLost or GpuXidError."""

    gpu: int
    reason: str
    message: str


def describe_xid(xid: int) -> str:
    """Return the number of an Xid with its meaning, if known."""
    meaning = _XIDS.get(xid)
    return f"Xid {xid} ({meaning})" if meaning else f"Xid {xid}"
