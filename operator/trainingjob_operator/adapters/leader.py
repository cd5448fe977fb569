"""Leader election by a Lease of coordination.k8s.io/v1, with the timing rules of client-go.

kubernetes.aio brings an election of its own, but it writes annotations on other objects and
trusts the wall clocks of all candidates.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from trainingjob_operator.retrying import BUGS, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

JsonObject = dict[str, Any]

# After work that failed, a leader waits before it stands again, ever longer; work that went well
# for so long has not failed at once.
AGAIN_BASE_SECONDS = 1.0
AGAIN_MAX_SECONDS = 30.0
WENT_WELL_SECONDS = 60.0


class LeaseApi(Protocol):
    """What the election needs of the Kubernetes API; may raise anything else."""

    async def get_lease(self, namespace: str, name: str) -> JsonObject | None:
        """Return the Lease, None if there is none."""

    async def create_lease(self, namespace: str, body: JsonObject) -> JsonObject | None:
        """Create the Lease and return it, None if another was quicker."""

    async def patch_lease(self, namespace: str, name: str, body: JsonObject) -> JsonObject | None:
        """Merge-patch the Lease and return it, None if it is not at the body's version."""


class LeadershipLost(Exception):  # noqa: N818 - says what happened, not that it is an error
    """The lease could not be renewed in time, or another holds it."""


class WorkEnded(Exception):  # noqa: N818 - says what happened, not that it is an error
    """The leader's work has ended, though nobody asked it to."""


class LeaderElector:
    """One candidate for the Lease `name`.

    Another's lease counts as expired when it has not changed for its duration by our own
    monotonic clock. The lease is renewed each `renew_seconds`, by default a third of its
    duration; what fails is tried again after `retry_seconds`, by default a fifth of that. We give
    up leading when two thirds of the duration have passed since we sent the last renewal that
    succeeded, so that the work has stopped before another begins.
    """

    def __init__(
        self,
        api: LeaseApi,
        identity: str,
        namespace: str,
        name: str,
        *,
        lease_seconds: float = 15.0,
        renew_seconds: float | None = None,
        retry_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._on_error = on_error
        self._identity = identity
        self._namespace = namespace
        self._name = name
        self._names = (identity, namespace, name)
        self._lease_seconds = lease_seconds
        self._renew_seconds = lease_seconds / 3 if renew_seconds is None else renew_seconds
        self._retry_seconds = self._renew_seconds / 5 if retry_seconds is None else retry_seconds
        self._clock = clock
        self._lease: JsonObject | None = None
        self._observed_at = clock()
        self._renewed_at = clock()
        self._leading = False

    @property
    def is_leader(self) -> bool:
        """Whether we lead now; false as soon as the lease may end, even if run() is stuck."""
        return self._leading and self._clock() < self._deadline()

    @property
    def other_holder(self) -> str | None:
        """Who else held the lease when we last looked; None if nobody did."""
        return None if self._holder() in ("", self._identity) else self._holder()

    async def run(
        self,
        on_started: Callable[[], Awaitable[None]],
        on_stopped: Callable[[], Awaitable[None]],
    ) -> None:
        """Stand for election again and again until cancelled.

        While leading, `on_started` works beside the renewals until it is cancelled, and then
        `on_stopped` is awaited: when the lease is lost, or this is cancelled (release() then gives
        the lease back). Work that raises or ends by itself is logged, and ends the leadership: the
        lease is given up, and after a wait we stand for election again.
        """
        failures = 0
        while True:
            await self._acquire()
            logger.info("%s holds the lease %s/%s", *self._names)
            began = self._clock()
            try:
                await self._lead(on_started, on_stopped)
            except LeadershipLost as error:
                logger.warning("%s has lost the lease %s/%s: %s", *self._names, error)
            except Exception:
                logger.exception("the leader's work has failed, giving up the lease")
                self._on_error("leader")
                await self.release()
                failures = 0 if self._clock() - began > WENT_WELL_SECONDS else failures
                await asyncio.sleep(min(AGAIN_MAX_SECONDS, AGAIN_BASE_SECONDS * 2.0**failures))
                failures = min(failures + 1, 10)

    async def release(self) -> None:
        """Give up a lease that we hold, so that another candidate takes it at once."""
        if self._holder() != self._identity:
            return
        try:
            # client-go writes the same: nobody's, and expired in a second.
            await self._patch({"holderIdentity": "", "leaseDurationSeconds": 1})
        except Exception as error:
            logger.warning(
                "cannot release the lease, it will expire: %s: %s",
                type(error).__name__,
                error,
                exc_info=isinstance(error, BUGS),
            )

    async def _acquire(self) -> None:
        while True:
            try:
                if await self._try_to_hold():
                    return
            except Exception as error:
                logger.warning(
                    "cannot ask for the lease, trying again: %s: %s",
                    type(error).__name__,
                    error,
                    exc_info=isinstance(error, BUGS),
                )
            wait = spread(self._retry_seconds, 0.8, 1.2)
            until_expiry = self._observed_at + self._held_seconds() - self._clock()
            await asyncio.sleep(min(wait, until_expiry) if until_expiry > 0 else wait)

    async def _lead(
        self,
        on_started: Callable[[], Awaitable[None]],
        on_stopped: Callable[[], Awaitable[None]],
    ) -> None:
        self._leading = True
        work = asyncio.ensure_future(on_started())
        keeper = asyncio.create_task(self._keep())
        try:
            await asyncio.wait((work, keeper), return_when=asyncio.FIRST_COMPLETED)
            ended = work.done()
        finally:
            self._leading = False
            for task in (work, keeper):
                task.cancel()
            results = await asyncio.gather(work, keeper, return_exceptions=True)
            await on_stopped()
        for result in results:
            if isinstance(result, Exception):
                raise result
        if ended:
            raise WorkEnded("the leader's work has ended by itself")

    async def _keep(self) -> None:
        """Renew in time; raises LeadershipLost."""
        while True:
            await asyncio.sleep(self._renewed_at + self._renew_seconds - self._clock())
            while not await self._renew():
                if self.other_holder is not None:
                    raise LeadershipLost(f"the lease is held by {self.other_holder}")
                if self._clock() >= self._deadline():
                    raise LeadershipLost("could not renew the lease in time")
                await asyncio.sleep(self._retry_seconds)

    async def _renew(self) -> bool:
        """Try once to renew, in half the time left, so that one dead connection is borne."""
        try:
            async with asyncio.timeout(max(0.0, self._deadline() - self._clock()) / 2):
                return await self._try_to_hold()
        except Exception as error:
            logger.warning(
                "cannot renew the lease: %s: %s",
                type(error).__name__,
                error,
                exc_info=isinstance(error, BUGS),
            )
            return False

    async def _try_to_hold(self) -> bool:
        """Take or renew the lease if it is ours, nobody's or expired."""
        if self._leading and await self._write():
            return True  # as nearly always: without reading it first
        lease = await self._api.get_lease(self._namespace, self._name)
        if lease is None:
            self._lease = None
            return await self._write()
        self._observe(lease)
        expired = self._clock() >= self._observed_at + self._held_seconds()
        if self._holder() in ("", self._identity) or expired:
            return await self._write()
        return False

    async def _write(self) -> bool:
        """Write ourselves as the holder, provided that the lease is as we last saw it."""
        sent_at, now = self._clock(), _micro_time()
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._lease_seconds)),
            "renewTime": now,
        }
        if self._holder() != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = self._transitions()
        written = await (self._create(spec) if self._lease is None else self._patch(spec))
        if written is None:
            return False
        self._observe(written)
        self._renewed_at = sent_at
        return True

    async def _create(self, spec: JsonObject) -> JsonObject | None:
        return await self._api.create_lease(
            self._namespace,
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": spec,
            },
        )

    async def _patch(self, spec: JsonObject) -> JsonObject | None:
        version = (self._lease or {})["metadata"]["resourceVersion"]
        return await self._api.patch_lease(
            self._namespace, self._name, {"metadata": {"resourceVersion": version}, "spec": spec}
        )

    def _observe(self, lease: JsonObject) -> None:
        """Remember a lease, and since when it is as it is."""
        if self._lease is None or self._lease["spec"] != lease["spec"]:
            self._observed_at = self._clock()
        self._lease = lease

    def _holder(self) -> str:
        return str(self._spec().get("holderIdentity") or "")

    def _held_seconds(self) -> float:
        return float(self._spec().get("leaseDurationSeconds") or self._lease_seconds)

    def _transitions(self) -> int:
        """Return how often the lease will have changed hands once we have it."""
        return 0 if self._lease is None else int(self._spec().get("leaseTransitions") or 0) + 1

    def _spec(self) -> JsonObject:
        spec: JsonObject = (self._lease or {}).get("spec") or {}
        return spec

    def _deadline(self) -> float:
        return self._renewed_at + self._lease_seconds * 2 / 3


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
