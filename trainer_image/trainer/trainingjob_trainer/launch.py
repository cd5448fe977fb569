"""Several processes: the command starts itself again under torchrun, as the PET_ variables say."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainingjob_agent.causes.termination import (
    EXIT_FAILURE,
    EXIT_SUCCESS,
    Termination,
    blame_gpus,
    describe_exception,
    signal_name,
    write_termination_message,
)
from trainingjob_agent.contract import Contract, ContractError
from trainingjob_agent.monitor import find_gpu_faults
from trainingjob_agent.rendezvous import wait_for_name
from trainingjob_agent.stacks.collecting import stacks_file

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

_logger = logging.getLogger(__name__)


def needs_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether this process is to start workers rather than be one."""
    # Not LOCAL_RANK, which the pod itself has where there is one process on each of several nodes.
    if "TORCHELASTIC_RUN_ID" in environment:
        return False
    return environment.get("PET_NNODES", "1") != "1" or processes_per_node(environment) > 1


def processes_per_node(environment: Mapping[str, str]) -> int:
    """Return the number of workers on this node: PET_NPROC_PER_NODE, `auto` meaning one per GPU.

    Raises:
        ContractError: it is neither a number nor `auto`.
    """
    text = environment.get("PET_NPROC_PER_NODE", "1").strip() or "1"
    if text == "auto":
        import torch

        return max(1, torch.cuda.device_count())
    if not text.isdigit() or int(text) < 1:
        raise ContractError(f"PET_NPROC_PER_NODE: expected a number ≥ 1 or auto, got {text!r}")
    return int(text)


def run_under_torchrun(
    arguments: Sequence[str], environment: Mapping[str, str], contract: Contract
) -> int:
    """Run the command in each worker; return the exit code of the first to fail.

    A worker that fails writes the termination message itself; only for one that could not (killed
    without a chance to speak) is it written here.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    command = ["--nproc-per-node", str(processes_per_node(environment))]
    if environment.get("PET_NNODES", "1") == "1":
        command.append("--standalone")
    else:
        wait_for_name(environment.get("PET_MASTER_ADDR", ""))
    command += ["-m", "trainingjob_trainer", *arguments]
    stacks_file()  # chosen here, it is that of all workers
    _logger.info("torchrun %s", " ".join(command))
    try:
        torchrun.run(torchrun.parse_args(command))  # type: ignore[no-untyped-call]  # torch's
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        return _report_worker(error, contract)
    except Exception as error:
        _logger.exception("torchrun failed")
        write_termination_message(describe_exception(error), contract.termination_log)
        return EXIT_FAILURE
    return EXIT_SUCCESS


def _report_worker(error: "ChildFailedError", contract: Contract) -> int:
    rank, failure = error.get_first_failure()
    killed = failure.exitcode < 0
    code = 128 - failure.exitcode if killed else failure.exitcode
    how = f"was ended by {signal_name(-failure.exitcode)}" if killed else f"ended with code {code}"
    termination = Termination(
        reason="Signal" if killed else "WorkerDied",
        message=f"rank {rank} {how} and left no message",
        rank=rank,
    )
    if killed:
        # NCCL ends a process whose GPU is gone by SIGABRT.
        termination = blame_gpus(termination, find_gpu_faults())
    write_termination_message(termination, contract.termination_log)
    _logger.error("rank %d failed first: it %s", rank, how)
    return code
