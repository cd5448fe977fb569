"""What the ranks did last together: the flight recorder of torch.distributed.

NCCL writes it when an operation takes longer than the time-out, and then ends the process. gloo
raises an error instead, upon which it is written here.
"""

import logging
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_FILE_VARIABLE = "TORCH_FR_DUMP_TEMP_FILE"
"""The beginning of the name of each rank's file."""

_logger = logging.getLogger(__name__)


def write_to(environment: MutableMapping[str, str], directory: Path) -> None:
    """Have the ranks write to `directory`, unless the user has chosen another place.

    That they record is torch's default (TORCH_FR_BUFFER_SIZE).
    """
    environment.setdefault(_FILE_VARIABLE, str(directory / "rank_"))


def files_of(environment: Mapping[str, str]) -> list[Path]:
    """Return what the ranks of this node have written."""
    beginning = Path(environment.get(_FILE_VARIABLE, "/"))
    return sorted(beginning.parent.glob(f"{beginning.name}*")) if beginning.name else []


def write_record() -> None:
    """Write what this rank has recorded of gloo, if it is one of several; never raises."""
    from torch import distributed  # the process that only starts the ranks does not wait for it

    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return
    from torch._C import _distributed_c10d

    try:
        _distributed_c10d._dump_fr_trace_file(distributed.get_rank(), True, True, False)  # noqa: SLF001 - there is no public one
    except Exception:
        _logger.exception("the flight recorder is not written")
