"""`python -m trainingjob_operator`: run the operator until SIGTERM."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import kopf

from trainingjob_operator import handlers
from trainingjob_operator.adapters.http import Content, HttpServer
from trainingjob_operator.adapters.kube import ApiError, Kube
from trainingjob_operator.adapters.logs import configure_logging
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.cluster.namespaces import readable
from trainingjob_operator.settings import Settings, SettingsError, read_settings

logger = logging.getLogger(__name__)

RESTART_MAX_SECONDS = 30.0
WENT_WELL_SECONDS = 60.0


async def wait_for_signal(stop: asyncio.Event, seconds: float) -> None:
    """Wait until a signal sets `stop`, at most `seconds`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The handlers of a kopf that has failed heed no signal.
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def main() -> int:
    """Run one replica; returns the process's exit code."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    # kopf logs each of its own steps; the operator logs what it does.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return asyncio.run(serve(settings))


async def serve(settings: Settings) -> int:
    """Answer probes and scrapes until SIGTERM, even if kopf fails meanwhile."""
    stop = asyncio.Event()
    server = HttpServer(settings.http_host, settings.http_port)
    try:
        await server.start()
    except OSError as error:
        logger.error("cannot listen on port %d: %s", settings.http_port, error)  # noqa: TRY400 - no bug
        return 1
    try:
        await run_to_the_end(lambda: live(settings, server, stop), stop)
    finally:
        await server.stop()
    return 0


async def live(settings: Settings, server: HttpServer, stop: asyncio.Event) -> None:
    """Run kopf until `stop` is set, as by SIGTERM, and restart it when the namespaces change."""
    while True:
        namespaces = await readable_namespaces(settings)
        life = handlers.Life(settings, server, namespaces, stop)
        try:
            await kopf.operator(
                registry=handlers.registry,
                clusterwide=not namespaces,
                namespaces=namespaces,
                standalone=True,
                stop_flag=life.over,
                memo=kopf.Memo(life=life),
            )
        finally:
            server.show(Content())
        if stop.is_set() or not life.over.is_set():
            return
        logger.info("restarting: the set of readable namespaces has changed")


async def readable_namespaces(settings: Settings) -> tuple[str, ...]:
    """The watched namespaces that are readable now, or all of them if none is; () for all."""
    wanted = settings.watch_namespaces
    if not wanted:
        return ()
    kube = await Kube.connect(proxy_of=environment_proxy)
    try:
        found = await readable(kube, wanted)
    except ApiError as error:
        logger.warning("cannot check which namespaces are readable: %s", error)
        return wanted
    finally:
        await kube.close()
    missing = ", ".join(one for one in wanted if one not in found)
    if missing:
        logger.warning("skipped until they exist and are readable: %s", missing)
    return found or wanted


async def run_to_the_end(
    begin: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait_for_signal,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run kopf until it ends normally; restart it when it fails, unless `stop` is set.

    kopf gives up when its watch gets an answer that it does not expect, such as an ERROR event. By
    then it has stopped all of our work, as for SIGTERM. The waits grow while it fails at once, and
    are reset once it has run for a while.
    """
    failures = 0
    while True:
        began = clock()
        try:
            await begin()
        except Exception:
            if stop.is_set():
                logger.exception("kopf has failed while ending")
                return
            if clock() - began > WENT_WELL_SECONDS:
                failures = 0
            seconds = min(RESTART_MAX_SECONDS, 2.0**failures)
            logger.exception("kopf has failed, restarting in %g s", seconds)
            failures = min(failures + 1, 10)
            await wait(stop, seconds)
            if stop.is_set():
                return
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
