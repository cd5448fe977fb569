"""All that kopf calls: what the operator reacts to, its start and end, and its login."""

import asyncio
import logging
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import kopf

from trainingjob_operator.adapters.http import HttpServer
from trainingjob_operator.api import GROUP, PLURAL, VERSION
from trainingjob_operator.application import Application
from trainingjob_operator.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

registry = kopf.OperatorRegistry()
# kopf must not retry a failed handler, since it waits a minute: the failure ends kopf, and
# __main__ restarts it.
FAILS = kopf.ErrorsMode.PERMANENT


@dataclass(frozen=True)
class Life:
    """One run of kopf, which ends when `over` is set; `stop` says that no other one follows."""

    settings: Settings
    server: HttpServer
    namespaces: tuple[str, ...]
    stop: asyncio.Event
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end_all(self) -> None:
        """End the process."""
        self.stop.set()
        self.over.set()


class NothingToCompare(kopf.DiffBaseStorage):
    """No handler needs the difference to the last state: for that kopf would copy each object.

    These copies were more than half of kopf's CPU time for an event.
    """

    def build(
        self,
        *,
        body: kopf.Body,  # noqa: ARG002 - kopf's signature
        extra_fields: Iterable[kopf.FieldSpec] | None = None,  # noqa: ARG002 - as above
    ) -> kopf.BodyEssence:
        """The part of an object that is compared."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - as above
        """The stored part."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


@kopf.on.startup(registry=registry, errors=FAILS)
async def configure(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Make kopf watch and write nothing, and start the application.

    kopf's annotations, events from logs, peering and scanning cost writes, rights or time, and
    none of them is needed by an operator that decides from what is stored.
    """
    # kopf would kill the process, minutes after a life that failed and whatever came of it.
    settings.process.ultimate_exiting_timeout = None
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NothingToCompare()
    settings.watching.chunk_size = 200
    # A watch lasts a minute, and one that is silent for longer is dead.
    settings.watching.server_timeout = 60
    settings.watching.inactivity_timeout = 70
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 60
    # An outage is over when the server answers, not up to 21 s later; after 45 s of errors kopf
    # ends and is restarted.
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, *(5,) * 8)
    life: Life = memo.life
    try:
        memo.application = await Application.connect(life.settings, life.namespaces)
    except SettingsError as error:
        raise kopf.PermanentError(str(error)) from error
    await memo.application.start(life.server, life.over.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        # In place of kopf's own handlers, which it sets at the same time: they lose a signal that
        # arrives while kopf fails.
        asyncio.get_running_loop().add_signal_handler(number, life.end_all)


@kopf.on.login(registry=registry, errors=FAILS)
async def login(memo: kopf.Memo, **_: Any) -> kopf.AiohttpSession:
    """Use the login of the application, so that there is only one."""
    application: Application = memo.application
    return kopf.AiohttpSession(
        server=application.server, aiohttp_session=application.kopf_session()
    )


@kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
async def changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A TrainingJob was listed, added, changed or deleted."""
    application: Application = memo.application
    application.trainingjobs.apply(event["type"], dict(event["object"]))


@kopf.on.cleanup(registry=registry, errors=FAILS)
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Hand over to another replica."""
    application: Application | None = memo.get("application")
    if application is not None:
        await application.stop()
