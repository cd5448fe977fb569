"""All that kopf calls: the operator's start and end, and its login."""

import logging
from typing import Any

import kopf

from trainingjob_operator.api import GROUP
from trainingjob_operator.application import Application
from trainingjob_operator.settings import SettingsError

logger = logging.getLogger(__name__)

registry = kopf.OperatorRegistry()


@kopf.on.startup(registry=registry)
async def configure(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Make kopf write nothing of its own, and start the application.

    kopf's annotations, events from logs, peering and scanning cost writes, rights or time, and
    none of them is needed by an operator that decides from what is stored.
    """
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{GROUP}/kopf-unused"
    settings.persistence.progress_storage = kopf.StatusProgressStorage(touch_field=None)
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300
    settings.networking.connect_timeout = 5
    try:
        memo.application = await Application.connect(memo.settings)
    except SettingsError as error:
        raise kopf.PermanentError(str(error)) from error
    await memo.application.start()


@kopf.on.cleanup(registry=registry)
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Hand over to another replica."""
    application: Application | None = memo.get("application")
    if application is not None:
        await application.stop()


@kopf.on.login(registry=registry)
def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Log in as the pod's service account, outside a pod as KUBECONFIG says."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
