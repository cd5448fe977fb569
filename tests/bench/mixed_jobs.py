"""The same jobs twice, as plain batch/v1 Jobs and as TrainingJobs, and when they ended.

In a mix two of twenty jobs fail, one is evicted once and one is deleted while it runs. What happens
to them is done on the first sight of the running pod, by what the cluster's watch shows.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes import watch
from kubernetes.client.exceptions import ApiException
from trainingjob_operator.core import contract
from urllib3.exceptions import HTTPError

from tests.support.api import GROUP, PLURAL, TERMINAL_STATES, VERSION, Cluster, manifest
from tests.support.pods import ended_status
from tests.support.waiting import beside

JsonObject = dict[str, Any]
FAILS, IS_EVICTED, IS_DELETED, SUCCEEDS = "fail", "are evicted", "are deleted", "succeed"
RUN_SECONDS = {SUCCEEDS: "2", FAILS: "2", IS_EVICTED: "10", IS_DELETED: "forever"}
TRIES = 5
ENDED_PHASES = ("Succeeded", "Failed")


def fate(name: str) -> str:
    """What becomes of a job of the mix, by the number at the end of its name."""
    number = int(name.rsplit("-", 1)[1]) % 20
    return {0: FAILS, 1: FAILS, 2: IS_EVICTED, 3: IS_DELETED}.get(number, SUCCEEDS)


def success(_: str) -> str:
    """All succeed."""
    return SUCCEEDS


Fate = Callable[[str], str]


def annotations(what: str) -> dict[str, str]:
    """How the fake node treats the pods of a job of which this becomes."""
    return {
        "kwok.trainingjob.dev/run-seconds": RUN_SECONDS[what],
        "kwok.trainingjob.dev/exit-code": "1" if what == FAILS else "0",
    }


def training_job(name: str, what: str, nodes: int = 1) -> JsonObject:
    """A TrainingJob of which this becomes."""
    return manifest(name, nodes=nodes, annotations=annotations(what))


def plain_job(name: str, what: str, nodes: int = 1) -> JsonObject:
    """The same pods without an operator and without MLflow; evictions are not charged, too."""
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [disrupted]}]},
            "template": {
                "metadata": {"annotations": annotations(what)},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "trainer", "image": "fake:1"}],
                },
            },
        },
    }


@dataclass
class Ends:
    """When things were first seen (time.monotonic), by the job's name; `last_pods`: ended."""

    last_pods: dict[str, float] = field(default_factory=dict)
    terminal: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)


class Mix:
    """Follows the jobs of one kind and their pods, and does to them what is to happen."""

    def __init__(
        self,
        cluster: Cluster,
        delete: Callable[[str], object],
        list_jobs: tuple[Callable[..., Any], JsonObject],
        is_terminal: Callable[[JsonObject], bool],
        owner_label: str,
        fate: Fate,
    ) -> None:
        self.ends = Ends()
        self._cluster = cluster
        self._delete = delete
        self._list_jobs = list_jobs
        self._is_terminal = is_terminal
        self._owner_label = owner_label
        self._fate = fate
        self._ended_pods: set[str] = set()
        self._treated: set[str] = set()
        self._pool = ThreadPoolExecutor(4)

    @contextmanager
    def followed(self) -> Iterator[Ends]:
        """Keep the ends up to date in the body."""
        call, scope = self._list_jobs
        pods, namespace = self._cluster.core.list_namespaced_pod, self._cluster.namespace
        with (
            self._pool,
            beside(lambda over: _follow(over, call, scope, self._job)),
            beside(lambda over: _follow(over, pods, {"namespace": namespace}, self._pod)),
        ):
            yield self.ends

    def _job(self, event: JsonObject) -> None:
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            self.ends.gone.setdefault(name, time.monotonic())
        elif self._is_terminal(event["object"]):
            self.ends.terminal.setdefault(name, time.monotonic())

    def _pod(self, event: JsonObject) -> None:
        pod = event["object"]
        labels, name = pod["metadata"].get("labels", {}), pod["metadata"]["name"]
        job = labels.get(self._owner_label)
        phase = pod.get("status", {}).get("phase")
        if job is None:
            return
        if (event["type"] == "DELETED" or phase in ENDED_PHASES) and name not in self._ended_pods:
            self._ended_pods.add(name)
            # The last one of several counts.
            self.ends.last_pods[job] = time.monotonic()
        elif phase == "Running" and job not in self._treated:
            self._treated.add(job)
            if self._fate(job) == IS_DELETED:
                self._pool.submit(_insist, self._delete, job)
            elif self._fate(job) == IS_EVICTED:
                self._pool.submit(_insist, self._evict, name)

    def _evict(self, pod: str) -> None:
        """End a pod as the kubelet does after the eviction API marked it."""
        status = ended_status(143, disruption="EvictionByEvictionAPI")
        self._cluster.core.patch_namespaced_pod_status(
            pod, self._cluster.namespace, {"status": status}
        )


def training_mix(cluster: Cluster, fate: Fate = fate) -> Mix:
    """The TrainingJobs."""
    scope = {
        "group": GROUP,
        "version": VERSION,
        "namespace": cluster.namespace,
        "plural": PLURAL,
    }
    call = cluster.objects.list_namespaced_custom_object

    def is_terminal(job: JsonObject) -> bool:
        return job.get("status", {}).get("state") in TERMINAL_STATES

    return Mix(cluster, cluster.delete, (call, scope), is_terminal, contract.LABEL_NAME, fate)


def plain_mix(cluster: Cluster, fate: Fate = fate) -> Mix:
    """The batch/v1 Jobs."""

    def delete(name: str) -> None:
        cluster.batch.delete_namespaced_job(
            name, cluster.namespace, propagation_policy="Foreground"
        )

    def is_terminal(job: JsonObject) -> bool:
        conditions = job.get("status", {}).get("conditions", [])
        return any(one["type"] in ("Complete", "Failed") for one in conditions)

    scope = {"namespace": cluster.namespace}
    call = cluster.batch.list_namespaced_job
    return Mix(cluster, delete, (call, scope), is_terminal, "batch.kubernetes.io/job-name", fate)


def behind(first: dict[str, float], second: dict[str, float]) -> list[float]:
    """How much later each name is in the second one."""
    return sorted(max(second[name] - first[name], 0.0) for name in second if name in first)


def spread(values: list[float]) -> tuple[str, str, str]:
    """Median, 99th percentile and the most, for people."""
    picked = (values[len(values) // 2], values[(len(values) - 1) * 99 // 100], values[-1])
    return (f"{picked[0]:.2f}", f"{picked[1]:.2f}", f"{picked[2]:.2f}")


def _insist(call: Callable[[str], object], name: str) -> None:
    """Call until the API server takes it: a busy one may refuse, or a connection break."""
    for _ in range(TRIES):
        try:
            call(name)
        except (ApiException, HTTPError) as error:
            print(f"{name}, trying again: {error}")
        else:
            return


def _follow(
    over: threading.Event,
    call: Callable[..., Any],
    scope: JsonObject,
    tell: Callable[[JsonObject], None],
) -> None:
    version: JsonObject = {}
    while not over.is_set():
        try:
            stream = watch.Watch().stream(
                call, **scope, **version, deserialize=False, timeout_seconds=2
            )
            for event in stream:
                tell(event)
                version = {"resource_version": event["object"]["metadata"]["resourceVersion"]}
        except ApiException as error:
            if error.status != 410:
                raise
            version = {}
