"""What a scenario can do and see: the user's part and the kubelet's, in one namespace."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from tests.support.chaos.upstream import (
    CORE,
    JOBS,
    RIGHTS,
    TRAININGJOBS,
    Json,
    Refused,
    Upstream,
)
from tests.support.chaos.world import Objects, World
from tests.support.pods import ended_status
from tests.support.service_account import rights_in

T = TypeVar("T")

# Longer than it takes to notice a dead watch.
SECONDS = 240.0
NAME = "job"
BYSTANDER = "bystander"
RUNTIME = "runtime"
ENDED_PHASES = ("Succeeded", "Failed")


class Stage:
    """One TrainingJob named `job`, beside a Job of somebody else."""

    def __init__(self, upstream: Upstream, world: World, namespace: str) -> None:
        self.namespace = namespace
        self.upstream = upstream
        self._world = world

    def objects(self, plural: str) -> Objects:
        """The objects of one resource by name."""
        return self._world.objects(self.namespace, plural)

    def status(self) -> Json:
        """The TrainingJob's status, empty if there is none."""
        status: Json = self.objects("trainingjobs").get(NAME, {}).get("status", {})
        return status

    async def until(self, what: str, condition: Callable[[], T | None]) -> T:
        """Wait for a condition; raises NotReached."""
        return await self._world.until(self.namespace, what, condition, SECONDS)

    async def prepare(self) -> None:
        """Make the namespace, and in it a Job that looks like one of ours and is not.

        The operator of the trial keeps its Lease there, too.
        """
        await self.upstream.call(
            "POST", f"{CORE}/namespaces", {"metadata": {"name": self.namespace}}
        )
        for one in rights_in(self.namespace):
            path = f"{RIGHTS}/namespaces/{self.namespace}/{one['kind'].lower()}s"
            await self.upstream.call("POST", path, one)
        labels = {
            "app.kubernetes.io/managed-by": "trainingjob-operator",
            "trainingjob.dev/name": NAME,
            "trainingjob.dev/uid": "of-somebody-else",
            "trainingjob.dev/attempt": "9",
        }
        container = {"name": "trainer", "image": "fake:1"}
        body = {
            "metadata": {"name": BYSTANDER, "labels": labels},
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
            },
        }
        await self.upstream.call("POST", f"{JOBS}/namespaces/{self.namespace}/jobs", body)

    async def apply(self, spec: Json) -> None:
        """Create the TrainingJob."""
        body = {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": NAME},
            "spec": {"image": "fake:1", **spec},
        }
        await self.upstream.call("POST", self._trainingjobs(), body)

    async def change(self, **spec: object) -> None:
        """Change the TrainingJob's spec."""
        await self.upstream.call("PATCH", self._trainingjobs(NAME), {"spec": spec})

    async def create_runtime(self, spec: Json) -> None:
        """Create the TrainingRuntime `runtime`."""
        body = {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingRuntime",
            "metadata": {"name": RUNTIME},
            "spec": spec,
        }
        await self.upstream.call("POST", self._runtimes(), body)

    async def change_runtime(self, **spec: object) -> None:
        """Change the TrainingRuntime's spec."""
        await self.upstream.call("PATCH", self._runtimes(RUNTIME), {"spec": spec})

    async def delete_runtime(self) -> None:
        """Delete the TrainingRuntime."""
        await self.upstream.call("DELETE", self._runtimes(RUNTIME))

    async def delete(self) -> None:
        """Ask for the TrainingJob's deletion."""
        await self.upstream.call("DELETE", self._trainingjobs(NAME))

    async def state(self, state: str) -> None:
        """Wait for a state of the TrainingJob."""
        await self.until(f"the job is {state}", lambda: self.status().get("state") == state)

    async def running(self, attempt: int) -> None:
        """Wait until an attempt runs."""

        def runs() -> bool:
            status = self.status()
            return (status.get("attempt"), status.get("state")) == (attempt, "Running")

        await self.until(f"attempt {attempt} runs", runs)

    async def gone(self) -> None:
        """Wait until neither the TrainingJob nor anything that belonged to it is left."""

        def nothing() -> bool:
            jobs = self.objects("jobs").keys() - {BYSTANDER}
            rest = [self.objects(one) for one in ("trainingjobs", "pods", "services")]
            return not jobs and not any(rest)

        await self.until("nothing is left", nothing)

    async def end_pods(self, code: int, disruption: str = "") -> None:
        """End the live pods with an exit code, as a kubelet does; disrupted, as by an eviction."""
        for name, pod in list(self.objects("pods").items()):
            if pod["status"]["phase"] not in ENDED_PHASES:
                path = f"{CORE}/namespaces/{self.namespace}/pods/{name}/status"
                status = ended_status(code, disruption)
                await self.upstream.call("PATCH", path, {"status": status})

    async def clear(self) -> None:
        """Take away what is left, without the operator."""
        paths = [self._trainingjobs(name) for name in self.objects("trainingjobs")]
        jobs = f"{JOBS}/namespaces/{self.namespace}/jobs"
        for path in (*paths, *(f"{jobs}/{name}" for name in self.objects("jobs"))):
            try:
                await self.upstream.call("PATCH", path, {"metadata": {"finalizers": None}})
                await self.upstream.call("DELETE", path, {"propagationPolicy": "Background"})
            except Refused as refused:
                if refused.status != HTTPStatus.NOT_FOUND:
                    raise

    def _runtimes(self, name: str = "") -> str:
        path = f"{TRAININGJOBS}/namespaces/{self.namespace}/trainingruntimes"
        return f"{path}/{name}" if name else path

    def _trainingjobs(self, name: str = "") -> str:
        path = f"{TRAININGJOBS}/namespaces/{self.namespace}/trainingjobs"
        return f"{path}/{name}" if name else path
