"""One scenario, played once under a fault, with all that came of it."""

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

from tests.support.chaos.calls import Call, Server
from tests.support.chaos.endstate import end_state, event_reasons, remains
from tests.support.chaos.invariants import Invariants
from tests.support.chaos.lives import Life, Zygote
from tests.support.chaos.proxy import Fault, Proxy
from tests.support.chaos.scenarios import Scenario
from tests.support.chaos.stage import Stage
from tests.support.chaos.upstream import Json, Refused, Upstream
from tests.support.chaos.world import NotReached, World
from tests.support.processes import free_port
from tests.support.service_account import OperatorLogin, token_of

# One replica that comes again under its own name has the lease at once.
LEASE_SECONDS = 60
# The least that the operator takes; the other replica follows after so long.
SHORT_LEASE = 3
SETTLE_SECONDS = 60.0
STILL_SECONDS = 1.0
# A trial mostly waits: for pods, delays and MLflow's poll.
AT_ONCE = 10


@dataclass(frozen=True)
class Laboratory:
    """What all trials share."""

    upstream: Upstream
    world: World
    zygote: Zygote
    login: OperatorLogin
    directory: Path
    quiet_seconds: float
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _numbers: "count[int]" = field(default_factory=count)
    _session: str = field(default_factory=lambda: uuid4().hex[:6])

    def new_namespace(self) -> str:
        """A name that nothing has had before."""
        return f"faults-{self._session}-{next(self._numbers)}"


MakeFault = Callable[["Trial"], Fault]


@dataclass
class Result:
    """What came of a trial."""

    name: str
    log: Path
    writes: list[Call]
    violations: list[str]
    end: Json = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    @property
    def mlflow_was_slow(self) -> bool:
        """Whether MLflow took longer than the operator waits for it, as on a busy machine.

        What is over before the status is stored next leaves no Event, but a line in the log.
        """
        if any(event.startswith("MLflowUnavailable") for event in self.events):
            return True
        return self.log.exists() and "cannot set the run to" in self.log.read_text()


class Trial:
    """The scenario's stage, the proxy, and the operator's lives."""

    def __init__(
        self,
        laboratory: Laboratory,
        scenario: Scenario,
        name: str,
        fault: MakeFault | None = None,
        replicas: Sequence[str] = ("a",),
    ) -> None:
        self._laboratory = laboratory
        self._scenario = scenario
        self.name = name
        self.namespace = laboratory.new_namespace()
        self.stage = Stage(laboratory.upstream, laboratory.world, self.namespace)
        self.proxy = Proxy(laboratory.upstream, self.namespace, replicas)
        if fault is not None:
            self.proxy.fault = fault(self)
        self._invariants = Invariants(self.stage.objects)
        laboratory.world.listen(self.namespace, self._invariants.changed)
        self._log = laboratory.directory / f"{self.namespace}.log"
        self._lives: dict[str, Life] = {}
        self._restarts: set[asyncio.Task[None]] = set()

    async def run(self) -> Result:
        """Play it to the end; violations are returned, not raised."""
        result = Result(self.name, self._log, self.proxy.writes, self._invariants.violations)
        async with self.proxy:
            try:
                async with self._laboratory.slots:
                    await self._play()
                await self._stay_quiet(result)
                await self._look_at(result)
            except (NotReached, Refused) as error:
                result.violations.append(f"{type(error).__name__}: {error}")
            finally:
                await self._end(result)
        return result

    async def begin_life(self, replica: str) -> None:
        """Start a replica of the operator."""
        addresses = self.proxy.addresses
        kubeconfig = self._laboratory.directory / f"{self.namespace}.{replica}.kubeconfig"
        if not kubeconfig.exists():
            token = token_of(self._laboratory.login)
            kubeconfig.write_text(kubeconfig_for(addresses[replica, Server.API], token))
        settings = {
            "NAMESPACE": self.namespace,
            "IDENTITY": replica,
            "MLFLOW_TRACKING_URI": addresses[replica, Server.MLFLOW],
            "MLFLOW_UI_URL": "http://mlflow.example.com",
            "MLFLOW_POLL_SECONDS": "4",
            "LEASE_SECONDS": str(LEASE_SECONDS if len(self.proxy.replicas) == 1 else SHORT_LEASE),
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(free_port()),
        }
        environment = {f"TRAININGJOB_OPERATOR_{key}": value for key, value in settings.items()}
        environment["KUBECONFIG"] = str(kubeconfig)
        environment |= {"MLFLOW_TRACKING_USERNAME": replica, "MLFLOW_TRACKING_PASSWORD": "none"}
        self._lives[replica] = await self._laboratory.zygote.begin(environment, self._log)

    async def kill(self, replica: str) -> None:
        """End a replica's life with SIGKILL; another one begins at once.

        Where there are two, it begins when the other has taken the lease over.
        """
        await self._lives[replica].end(signal.SIGKILL)
        self.proxy.break_streams(replica)
        restart = asyncio.create_task(self._begin_again(replica))
        self._restarts.add(restart)
        restart.add_done_callback(self._restarts.discard)

    async def _begin_again(self, replica: str) -> None:
        if len(self.proxy.replicas) > 1:
            await asyncio.sleep(3 * SHORT_LEASE)
        await self.begin_life(replica)

    async def _play(self) -> None:
        """From the creation until all servers have its end."""
        await self.stage.prepare()
        for replica in self.proxy.replicas:
            await self.begin_life(replica)
        await self.stage.apply(self._scenario.spec)
        await self._scenario.play(self.stage)
        await self.stage.until("its Jobs are released", self._released)
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while not (await self._still(STILL_SECONDS) and await self._run_written()):
                    continue
        except TimeoutError as error:
            raise NotReached(f"the run is not {self._scenario.run}, or writes go on") from error

    async def _stay_quiet(self, result: Result) -> None:
        before = len(self.proxy.writes)
        await asyncio.sleep(self._laboratory.quiet_seconds)
        more = [call.what for call in self.proxy.writes[before:]]
        if more:
            result.violations.append(f"writes after the end: {more}")

    async def _look_at(self, result: Result) -> None:
        result.end = end_state(await remains(self._laboratory.upstream, self.namespace))
        result.events = await event_reasons(self._laboratory.upstream, self.namespace)
        lost = self.proxy.fault.loses_answers or result.mlflow_was_slow
        self._invariants.run_was_written_once(self.proxy.applied, at_most=2 if lost else 1)

    def _released(self) -> bool:
        jobs = self.stage.objects("jobs").values()
        return not any(
            "trainingjob.dev/attempt" in job["metadata"].get("finalizers", ()) for job in jobs
        )

    async def _run_written(self) -> bool:
        runs = await self._laboratory.upstream.runs(self.namespace)
        return {run["info"]["status"] for run in runs} == {self._scenario.run}

    async def _still(self, seconds: float) -> bool:
        before = len(self.proxy.writes)
        await asyncio.sleep(seconds)
        return len(self.proxy.writes) == before

    async def _end(self, result: Result) -> None:
        if self._restarts:
            await asyncio.wait(self._restarts)
        for life in self._lives.values():
            if life.ended.is_set():
                result.violations.append("the operator has ended by itself")
            await life.end(signal.SIGKILL)
        await self.stage.clear()


def kubeconfig_for(server: str, token: str) -> str:
    """A login at a proxy; JSON is YAML."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
            "current-context": "proxy",
        }
    )
