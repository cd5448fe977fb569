"""`python -m trainingjob_operator`: run the operator until SIGTERM."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import kopf

from trainingjob_operator import handlers
from trainingjob_operator.adapters.logs import configure_logging
from trainingjob_operator.settings import Settings, SettingsError, read_settings

logger = logging.getLogger(__name__)

RESTART_MAX_SECONDS = 30.0
WENT_WELL_SECONDS = 60.0


def main() -> int:
    """Run one replica; returns the process's exit code."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    # kopf tells of every step of its own; what the operator does is told by the operator.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    run_to_the_end(lambda stop: live(settings, stop))
    return 0


async def live(settings: Settings, stop: asyncio.Event) -> None:
    """One life of kopf, until `stop` is set, as it is by SIGTERM."""
    await kopf.operator(
        registry=handlers.registry,
        clusterwide=True,
        standalone=True,
        stop_flag=stop,
        memo=kopf.Memo(settings=settings, stop=stop),
    )


def run_to_the_end(
    begin: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run kopf until it ends in peace; when it fails, begin anew.

    kopf gives up for good when its watch meets an answer that it does not expect, such as an ERROR
    event. By then it has stopped all of our work, as for SIGTERM. The waits grow while it fails at
    once, and start again after a life that lasted.
    """
    failures = 0
    while True:
        began = clock()
        # Asked for only here, when the event loop is closed: until then a signal may set it, and
        # from then on a signal ends the process by itself.
        stop = asyncio.Event()
        try:
            asyncio.run(begin(stop))
        except Exception:
            if stop.is_set():
                logger.exception("kopf has failed while it was ending")
                return
            if clock() - began > WENT_WELL_SECONDS:
                failures = 0
            seconds = min(RESTART_MAX_SECONDS, 2.0**failures)
            logger.exception("kopf has failed, beginning anew in %g s", seconds)
            failures = min(failures + 1, 10)
            wait(seconds)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
