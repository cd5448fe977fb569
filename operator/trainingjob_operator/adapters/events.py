"""Kubernetes Events (events.k8s.io/v1) about TrainingJobs; one that is repeated counts up."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainingjob_operator.retrying import BUGS

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

JsonObject = dict[str, Any]

CONTROLLER = "trainingjob-operator"
NOTE_LIMIT = 1024


class EventApi(Protocol):
    """What writing needs of the Kubernetes API; may raise anything."""

    async def create_event(self, namespace: str, body: JsonObject) -> bool:
        """Create the Event; False if one of that name is there."""

    async def repeat_event(self, namespace: str, name: str, last_observed: str) -> None:
        """Count the Event of that name once more."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The TrainingJob that an Event is about."""

    namespace: str
    name: str
    uid: str


def build_event(
    subject: Subject,
    *,
    kind: Literal["Normal", "Warning"],
    reason: str,
    note: str,
    attempt: int,
    instance: str,
    now: datetime,
) -> JsonObject:
    """Return the Event; its name follows from job, reason and attempt, so that it is unique.

    Args:
        subject: The job.
        kind: The Event's type.
        reason: UpperCamelCase, at most 128 characters.
        note: Text for people, cut at 1,024 bytes.
        attempt: The attempt that it is about.
        instance: The replica that reports it.
        now: When it happened, with its time zone.
    """
    identity = f"{subject.uid}/{reason}/{attempt}".encode()
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{subject.name}.{hashlib.sha256(identity).hexdigest()[:16]}",
            "namespace": subject.namespace,
        },
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "action": "Reconcile",
        "type": kind,
        "reason": reason,
        "note": _cut(note),
        "regarding": {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }


class EventWriter:
    """Writes Events; they are a help to people, so a failure is logged and nothing more."""

    def __init__(
        self, api: EventApi, instance: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._api = api
        self._instance = instance
        self._now = now

    async def write(
        self,
        subject: Subject,
        kind: Literal["Normal", "Warning"],
        reason: str,
        note: str,
        *,
        attempt: int,
    ) -> bool:
        """Write one Event, or count the one that is there; False if neither was possible."""
        body = build_event(
            subject,
            kind=kind,
            reason=reason,
            note=note,
            attempt=attempt,
            instance=self._instance,
            now=self._now(),
        )
        try:
            if not await self._api.create_event(subject.namespace, body):
                name, at = body["metadata"]["name"], body["eventTime"]
                await self._api.repeat_event(subject.namespace, name, at)
        except Exception as error:
            logger.warning(
                "cannot write the event %s: %s", reason, error, exc_info=isinstance(error, BUGS)
            )
            return False
        else:
            return True


def _cut(note: str) -> str:
    """Cut to the API's limit, which counts bytes, at the end of a character."""
    encoded = note.encode()
    if len(encoded) <= NOTE_LIMIT:
        return note
    return encoded[: NOTE_LIMIT - 3].decode(errors="ignore") + "..."
