"""What the operator knows of the cluster: its watches, and its own writes until they show there.

A watch lags behind a write by some milliseconds. Deciding on the older state would repeat the
write, so the answer to each write is kept until the watch has it. And a pod may disappear before
its Job is seen to fail, so how the pod ended is kept for a while.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.memory import Memory
from trainingjob_operator.cluster.trainingjobs import Known, TrainingJobCache
from trainingjob_operator.core import attempts, names
from trainingjob_operator.core.observe import JobView, Observed, PodView, ServiceView, owner_key

# A created Job that no informer shows after this time is gone, or is not ours and never shown.
MEMORY_SECONDS = 30.0
# Seconds that a pod may take to terminate beyond its grace period.
ENDING_SECONDS = 30.0
# How long a deleted TrainingJob is remembered; then a Job with our finalizer is its record.
DEPARTED_SECONDS = 600.0


T_co = TypeVar("T_co", covariant=True)


class Copy(Protocol[T_co]):
    """The objects of one resource that a watch keeps."""

    def get(self, namespace: str, name: str) -> T_co | None:
        """Return the value of one object, None if there is none."""

    def by_index(self, key: str) -> tuple[T_co, ...]:
        """Return the values of one owner."""


class Caches:
    """Reads for the reconciler; `remember_*` is called with what a write answered."""

    def __init__(
        self,
        trainingjobs: TrainingJobCache,
        jobs: Copy[JobView],
        pods: Copy[PodView],
        services: Copy[ServiceView],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainingjobs = trainingjobs
        self._jobs = jobs
        self._pods = pods
        self._services = services
        self._clock = clock
        self._created: Memory[tuple[str, str], JobView] = Memory(MEMORY_SECONDS, clock)
        self._deleted: Memory[str, None] = Memory(MEMORY_SECONDS, clock)
        self._gone: Memory[str, dict[str, PodView]] = Memory(MEMORY_SECONDS, clock)
        self._freed: Memory[str, None] = Memory(MEMORY_SECONDS, clock)
        self._departed: Memory[str, tuple[TrainingJob, ...]] = Memory(DEPARTED_SECONDS, clock)
        self._ended: Memory[tuple[str, str], None] = Memory(MEMORY_SECONDS, clock)
        self._served: Memory[tuple[str, str], ServiceView] = Memory(MEMORY_SECONDS, clock)
        # When the pods of a TrainingJob were first seen to be terminating.
        self._ending: dict[str, dict[str, float]] = {}

    def trainingjob(self, key: str) -> Known | None:
        """The newest known state of a TrainingJob; None once it is gone.

        A job whose deletion we asked for comes back with its deletionTimestamp, if at all.
        """
        job = self._trainingjobs.get(key)
        if job is None:
            return None
        if job.metadata.deletion_timestamp is not None:
            return job
        return None if job.metadata.uid in self._deleted else job

    def children(self, job: TrainingJob) -> tuple[JobView, ...]:
        """The child Jobs of all attempts of a TrainingJob."""
        children = self._jobs.by_index(key_of(job))
        return tuple(
            self._as_written(child) for child in children if child.owner_uid == job.metadata.uid
        )

    def pods(self, job: TrainingJob) -> tuple[PodView, ...]:
        """All pods of a TrainingJob."""
        pods = self._pods.by_index(key_of(job))
        return tuple(pod for pod in pods if pod.owner_uid == job.metadata.uid)

    def observed(self, job: TrainingJob) -> Observed:
        """The children of a TrainingJob: the Jobs of all attempts, all pods, the Service."""
        pods = [self._as_ended(pod) for pod in self.pods(job)]
        name = names.child_job(job.metadata.name, attempts.at_hand(job.status))
        return Observed(
            job=self._child(job.metadata.namespace, name),
            pods=tuple(pods),
            earlier=tuple(child for child in self.children(job) if child.name != name),
            gone=self._gone_of(job),
            stuck=self._stuck(job, pods),
            service=self._has_service(job),
        )

    def is_new(self, job: Known) -> bool:
        """Whether no operator can have acted on a job yet; True once for each."""
        return self._trainingjobs.take_created(job.metadata.uid)

    def departed(self, key: str) -> TrainingJob | None:
        """A TrainingJob of this key that is gone and may still need cleaning up."""
        return next(iter(self._departed.get(key) or ()), None)

    def guarded(self, namespace: str, name: str, uid: str) -> bool:
        """Whether the run of a TrainingJob, which may be gone, still needs work."""
        key = names.key(namespace, name)
        departed = any(job.metadata.uid == uid for job in self._departed.get(key) or ())
        held = map(self._as_written, self._jobs.by_index(key))
        return departed or any(child.held and child.owner_uid == uid for child in held)

    def leftovers(self, key: str, uid: str) -> tuple[JobView, ...]:
        """Jobs with our finalizer that belong to an earlier TrainingJob of the key."""
        jobs = map(self._as_written, self._jobs.by_index(key))
        return tuple(child for child in jobs if child.held and child.owner_uid not in ("", uid))

    def _gone_of(self, job: TrainingJob) -> tuple[PodView, ...]:
        gone = self._gone.get(key_of(job)) or {}
        return tuple(pod for pod in gone.values() if pod.owner_uid == job.metadata.uid)

    def _stuck(self, job: TrainingJob, pods: list[PodView]) -> frozenset[str]:
        now, known = self._clock(), self._ending.pop(key_of(job), {})
        ending = {pod.name: known.get(pod.name, now) for pod in pods if pod.live and pod.ending}
        if ending:
            self._ending[key_of(job)] = ending
        limit = job.spec.termination_grace_period_seconds + ENDING_SECONDS
        return frozenset(name for name, since in ending.items() if now - since >= limit)

    def _has_service(self, job: TrainingJob) -> bool:
        place = (job.metadata.namespace, job.metadata.name)
        found, written = self._services.get(*place), self._served.get(place)
        known = [one for one in (found, written) if one is not None]
        return any(one.owner_uid == job.metadata.uid for one in known)

    def _as_ended(self, pod: PodView) -> PodView:
        ended = (pod.namespace, pod.name) in self._ended
        return replace(pod, ending=True) if ended and not pod.ending else pod

    def _child(self, namespace: str, name: str) -> JobView | None:
        cached = self._jobs.get(namespace, name)
        if cached is not None:
            self._created.drop((namespace, name))
            return self._as_written(cached)
        created = self._created.get((namespace, name))
        return self._as_written(created) if created else None

    def _as_written(self, child: JobView) -> JobView:
        """The Job with those of our writes that the informer does not show yet.

        One that we deleted stays until its pods are gone.
        """
        if child.uid in self._deleted and not child.deleting:
            child = replace(child, deleting=True, foreground=True)
        if child.uid in self._freed and child.held:
            child = replace(child, held=False)
        ended = (child.namespace, child.name) in self._ended and not child.ending
        return replace(child, ending=True) if ended else child

    def remember_trainingjob(self, job: TrainingJob) -> None:
        """Keep what a PATCH of a TrainingJob answered."""
        self._trainingjobs.put(job)

    def remember_created(self, child: JobView) -> None:
        """Keep what the creation of a child Job answered."""
        self._created.keep((child.namespace, child.name), child)

    def remember_deleted(self, uid: str) -> None:
        """Note that a child Job or a TrainingJob was deleted."""
        self._deleted.keep(uid, None)

    def remember_departed(self, job: TrainingJob, at: datetime) -> None:
        """Keep a TrainingJob that is gone, as deleted now unless it has a deletionTimestamp."""
        if job.metadata.deletion_timestamp is None:
            metadata = job.metadata.model_copy(update={"deletion_timestamp": at})
            job = job.model_copy(update={"metadata": metadata})
        known = self._departed.get(key_of(job)) or ()
        others = (one for one in known if one.metadata.uid != job.metadata.uid)
        self._departed.keep(key_of(job), (*others, job))

    def forget_departed(self, job: TrainingJob) -> None:
        """Drop a TrainingJob that is gone and needs nothing more."""
        known = self._departed.get(key_of(job)) or ()
        left = tuple(one for one in known if one is not job)
        if left:
            self._departed.keep(key_of(job), left)
        else:
            self._departed.drop(key_of(job))

    def remember_freed(self, uid: str) -> None:
        """Note that a child Job has lost our finalizer."""
        self._freed.keep(uid, None)

    def remember_ended(self, namespace: str, name: str) -> None:
        """Note that a pod or a Job will end: it has an activeDeadlineSeconds now."""
        self._ended.keep((namespace, name), None)

    def remember_service(self, service: ServiceView) -> None:
        """Keep what the creation of a Service, or its adoption, answered."""
        self._served.keep((service.namespace, service.name), service)

    def forget_service(self, service: ServiceView) -> None:
        """Drop a Service that is gone."""
        self._served.drop((service.namespace, service.name))

    def remember_gone(self, pod: PodView) -> None:
        """Keep how a pod ended whose object is gone, for example after an eviction."""
        if not pod.live:
            key = owner_key(pod)
            self._gone.keep(key, {**(self._gone.get(key) or {}), pod.name: pod})

    def forget(self, key: str) -> None:
        """Drop the memory of a TrainingJob that is gone."""
        self._gone.drop(key)
        self._ending.pop(key, None)


def key_of(job: Known) -> str:
    """The queue key of a TrainingJob."""
    return names.key(job.metadata.namespace, job.metadata.name)
