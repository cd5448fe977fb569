"""What the C library does with memory that is freed."""

import ctypes
import logging

_M_MMAP_THRESHOLD = -3
_THRESHOLD_BYTES = 2**20

_logger = logging.getLogger(__name__)


def return_freed_memory() -> None:
    """Have glibc give blocks of a megabyte or more back to the system at once (mallopt(3)).

    By itself it keeps blocks of up to 32 MiB once one was freed, in pieces that seldom fit again.
    A rank on a CPU, where FSDP2 makes and frees each block of the model in every pass, would end up
    with more memory than the whole model needs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES):
        _logger.warning("the C library keeps memory that is freed: a rank may need far more of it")
