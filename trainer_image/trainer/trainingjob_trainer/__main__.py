"""`trainingjob-trainer`, also `python -m trainingjob_trainer`."""

import logging
import os
import sys
from collections.abc import Sequence

from trainingjob_agent.causes import termination
from trainingjob_agent.contract import Contract, ContractError

from trainingjob_trainer import launch
from trainingjob_trainer.command_line import parse_options
from trainingjob_trainer.node_log import run_with_node_log
from trainingjob_trainer.printed import keep_printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 when user code failed, or 143 after SIGTERM."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_options(arguments)
    try:
        contract = Contract.from_environment()
        starts_ranks = launch.needs_torchrun(os.environ)
        output = None if starts_ranks else keep_printed(contract)
        _configure_logging(contract)
        if starts_ranks:
            return run_with_node_log(
                contract, lambda: launch.run_under_torchrun(arguments, os.environ, contract)
            )
    except ContractError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - the message says it all
        path = Contract.termination_log_of(os.environ)
        termination.write_termination_message(termination.describe_exception(error), path)
        return termination.EXIT_FAILURE
    from trainingjob_trainer.worker import Worker  # imports all of the training code

    return Worker(options, contract, output).run()


def _configure_logging(contract: Contract) -> None:
    """Log one plain line an event to standard output, with the rank where there are several."""
    rank = f"[rank {contract.rank}] " if contract.world_size > 1 else ""
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {rank}%(message)s",
        stream=sys.stdout,
    )


if __name__ == "__main__":
    raise SystemExit(main())
