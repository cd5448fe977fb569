"""The metadata of an object: its times and its owner."""

from datetime import datetime, timedelta
from typing import Any

from trainingjob_operator.api import KIND, MAX_SECONDS
from trainingjob_operator.core import border, contract

Raw = dict[str, Any]


def controller(metadata: Raw) -> Raw:
    """The owner reference of the controller; empty for an orphan."""
    references: list[Raw] = metadata.get("ownerReferences", [])
    return next((one for one in references if one.get("controller")), {})


def owner_uid(metadata: Raw) -> str:
    """The uid of the TrainingJob that owns an object, for an orphan that of its label; else ""."""
    owner = controller(metadata)
    if not owner:
        return str(metadata.get("labels", {}).get(contract.LABEL_UID, ""))
    return str(owner["uid"]) if owner.get("kind") == KIND else ""


def deleted_at(metadata: Raw) -> datetime | None:
    """When the deletion was asked for: a deletionTimestamp is the end of the grace period.

    Whoever deletes a pod may choose any number of seconds.
    """
    over = border.instant(metadata.get("deletionTimestamp"))
    if over is None:
        return None
    grace = border.whole(metadata.get("deletionGracePeriodSeconds"), 0, MAX_SECONDS)
    return over - timedelta(seconds=grace or 0)
