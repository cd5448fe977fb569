"""The lives that a job can have; each is played undisturbed first, then with faults."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.chaos.stage import BYSTANDER, Stage
from tests.support.chaos.upstream import Json

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
SHORT = {"kwok.trainingjob.dev/run-seconds": "1"}


@dataclass(frozen=True, eq=False)
class Scenario:
    """A spec, what users and kubelets do, and the run's status at the end."""

    name: str
    spec: Json
    play: Callable[[Stage], Awaitable[None]]
    run: str


async def _success(stage: Stage) -> None:
    """The pod goes its way, whether anybody watches or not."""
    await stage.state("Succeeded")


async def _failure(stage: Stage) -> None:
    await stage.state("Failed")


async def _retry(stage: Stage) -> None:
    await stage.running(1)
    await stage.end_pods(139)
    await stage.running(2)
    await stage.end_pods(0)
    await stage.state("Succeeded")


async def _disruption(stage: Stage) -> None:
    await stage.running(1)
    await stage.end_pods(143, "EvictionByEvictionAPI")
    await stage.running(2)
    await stage.end_pods(0)
    await stage.state("Succeeded")


async def _suspension(stage: Stage) -> None:
    await stage.running(1)
    await stage.change(suspend=True)
    await stage.state("Suspended")
    await stage.change(suspend=False)
    await stage.running(2)
    await stage.end_pods(0)
    await stage.state("Succeeded")


async def _stop(stage: Stage) -> None:
    """Ended by its owner in the middle of a restart."""
    await stage.running(1)
    await stage.end_pods(139)
    await stage.running(2)
    await stage.change(stop=True)
    await stage.state("Stopped")


async def _haste(stage: Stage) -> None:
    """Suspended as soon as its Job is there, and resumed as soon as its status says so."""
    await stage.until("the first Job is there", lambda: stage.objects("jobs").keys() - {BYSTANDER})
    await stage.change(suspend=True)
    await stage.state("Suspended")
    await stage.change(suspend=False)
    await stage.running(2)
    await stage.end_pods(0)
    await stage.state("Succeeded")


async def _runtime(stage: Stage) -> None:
    """Create the runtime late, change it while its job trains, delete it before attempt 2."""
    await stage.until("it waits", lambda: stage.status().get("state") == "Pending")
    variables = [{"name": "OF_THE_RUNTIME", "value": "first"}]
    await stage.create_runtime({"defaults": {"backoffLimit": 2, "env": variables}})
    await stage.running(1)
    await stage.change_runtime(defaults={"env": [{"name": "CHANGED", "value": "second"}]}, allow=[])
    await stage.end_pods(139)
    await stage.running(2)
    await stage.delete_runtime()
    await stage.end_pods(139)
    await stage.running(3)
    await stage.end_pods(0)
    await stage.state("Succeeded")


async def _deletion(stage: Stage) -> None:
    await stage.running(1)
    # A job that is deleted before it has a run needs none.
    await stage.until("the run is known", lambda: stage.status().get("mlflow", {}).get("runId"))
    await stage.delete()
    await stage.gone()


async def _time_to_live(stage: Stage) -> None:
    await stage.running(1)
    await stage.end_pods(0)
    await stage.gone()


SUCCESS = Scenario("success", {"podAnnotations": SHORT}, _success, "FINISHED")
FAILURE = Scenario(
    "failure",
    {"podAnnotations": {**SHORT, "kwok.trainingjob.dev/exit-code": "3"}, "backoffLimit": 2},
    _failure,
    "FAILED",
)
RETRY = Scenario("retry", {"podAnnotations": FOREVER, "backoffLimit": 1}, _retry, "FINISHED")
DISRUPTION = Scenario("disruption", {"podAnnotations": FOREVER}, _disruption, "FINISHED")
SUSPENSION = Scenario(
    "suspension", {"podAnnotations": FOREVER, "numNodes": 2}, _suspension, "FINISHED"
)
# One node: of two ranks that fail in the same second either may be seen first.
STOP = Scenario("stop", {"podAnnotations": FOREVER, "backoffLimit": 2}, _stop, "KILLED")
RUNTIME = Scenario(
    "runtime",
    {
        "podAnnotations": FOREVER,
        "runtimeRef": {"kind": "TrainingRuntime", "name": "runtime"},
    },
    _runtime,
    "FINISHED",
)
DELETION = Scenario("deletion", {"podAnnotations": FOREVER, "numNodes": 2}, _deletion, "KILLED")
TIME_TO_LIVE = Scenario(
    "time-to-live",
    {"podAnnotations": FOREVER, "ttlSecondsAfterFinished": 1},
    _time_to_live,
    "FINISHED",
)
# Only with faults that hit it: how far the first attempt comes is a matter of chance.
HASTE = Scenario("haste", {"podAnnotations": FOREVER}, _haste, "FINISHED")
ALL = (SUCCESS, FAILURE, RETRY, DISRUPTION, SUSPENSION, STOP, RUNTIME, DELETION, TIME_TO_LIVE)
