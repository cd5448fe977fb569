"""Which outages are played: quick ones with every test, long ones by `make faults`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import orjson

from tests.support.chaos.calls import Answer, Server
from tests.support.chaos.crashes import Plan, Point, When
from tests.support.chaos.outages import (
    Down,
    Expired,
    Failover,
    HalfOpen,
    Lost,
    Once,
    Refused,
    Says,
    Silent,
    Slow,
    Stale,
    Unnoticed,
)
from tests.support.chaos.proxy import EXPIRED, Fault
from tests.support.chaos.scenarios import (
    DELETION,
    DISRUPTION,
    FAILURE,
    HASTE,
    RETRY,
    SUCCESS,
    SUSPENSION,
    TIME_TO_LIVE,
    Scenario,
)
from tests.support.chaos.trial import MakeFault, Trial

FIRST_JOB, NEXT_JOB = Point("POST jobs", 1), Point("POST jobs", 2)
# The first news of a job; a quick start is no news to MLflow, but each restart is.
NEWS, WAITS = Point("PATCH trainingjobs/status", 1), Point("runs/update SCHEDULED", 1)
ENDS, KILLED = Point("runs/update FINISHED", 1), Point("runs/update KILLED", 1)
STOPS, DELETES = Point("PATCH pods", 1), Point("DELETE jobs", 1)
API_ERRORS = {
    "409": Answer.api_error(409, "Conflict"),
    "429": Answer.api_error(429, "TooManyRequests", wait=1),
    "500": Answer.api_error(500, "InternalError"),
    "504 of a load balancer": Answer(504, b"upstream timed out"),
}
MLFLOW_ERRORS = {
    "429": Answer.mlflow_error(429, "RESOURCE_EXHAUSTED"),
    "503": Answer.mlflow_error(503, "TEMPORARILY_UNAVAILABLE"),
    "502 of a proxy": Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
}


def _error_event(code: int, reason: str) -> bytes:
    status = {"kind": "Status", "code": code, "reason": reason, "message": "a fault"}
    return orjson.dumps({"type": "ERROR", "object": status})


# What a watch may bring instead of the next event.
LINES = {
    "410": EXPIRED,
    "an ERROR event of 500": _error_event(500, "InternalError"),
    "an ERROR event of 403": _error_event(403, "Forbidden"),
    "an ERROR event without a code": b'{"type": "ERROR", "object": {}}',
    "half an event": b'{"type": "MODIFIED", "object": {"metadata": {"na',
    "the page of a proxy": b"<html>Bad Gateway</html>",
    "an event without an object": b'{"type": "MODIFIED"}',
    "an object without metadata": b'{"type": "MODIFIED", "object": {}}',
    "a list": b"[]",
}


@dataclass(frozen=True)
class Outage:
    """One outage in one scenario."""

    name: str
    scenario: Scenario
    fault: MakeFault
    replicas: tuple[str, ...] = ("a",)


def quick() -> list[Outage]:
    """Those that are over in seconds."""
    return [*_away(5.0), *_errors(), *_lost(None), *_watches(), *_lines(), *_refused(5.0), *_slow()]


def long() -> list[Outage]:
    """A minute's outage, calls that hang until the client gives up, connections that are dead."""
    points = ((SUCCESS, FIRST_JOB), (RETRY, NEXT_JOB), (SUSPENSION, STOPS), (DELETION, DELETES))
    dead = [
        Outage(
            f"{one.name}: half-open watches from {at}",
            one,
            partial(HalfOpen, point=at),
        )
        for one, at in points
    ]
    lost = Outage(
        "haste: the creation of the Job goes unnoticed", HASTE, partial(Unnoticed, point=FIRST_JOB)
    )
    silent = [
        Outage(f"{one.name}: kopf's watch is silent from {at}", one, partial(Silent, point=at))
        for one, at in points
    ]
    return [*_away(60.0), *_lost(45.0), *dead, *silent, *_refused(60.0), lost, *_failovers()]


def _failovers() -> list[Outage]:
    """Two replicas, of which the one that takes over is deaf."""
    plans = [
        Plan(SUCCESS, NEWS, When.AFTER),
        Plan(RETRY, WAITS, When.BEFORE),
        Plan(RETRY, NEXT_JOB, When.BEFORE),
        Plan(DISRUPTION, Point("runs/update RUNNING", 1), When.AFTER),
        Plan(SUSPENSION, STOPS, When.BEFORE),
        Plan(DELETION, DELETES, When.BEFORE),
    ]
    return [
        Outage(
            f"{plan.name}, then a deaf one leads",
            plan.scenario,
            partial(Failover, plan=plan),
            ("a", "b"),
        )
        for plan in plans
    ]


def _away(seconds: float) -> list[Outage]:
    api = [(SUCCESS, FIRST_JOB), (RETRY, NEXT_JOB), (SUSPENSION, STOPS), (DELETION, KILLED)]
    mlflow = [(RETRY, WAITS), (SUCCESS, ENDS), (DELETION, KILLED)]
    return [
        Outage(
            f"{scenario.name}: {server} away for {seconds:g} s from {at}",
            scenario,
            partial(Down, point=at, server=server, seconds=seconds),
        )
        for server, places in ((Server.API, api), (Server.MLFLOW, mlflow))
        for scenario, at in places
    ]


def _errors() -> list[Outage]:
    reported = [(Server.API, one) for one in API_ERRORS.items()]
    reported += [(Server.MLFLOW, one) for one in MLFLOW_ERRORS.items()]
    return [
        Outage(
            f"{scenario.name}: {server} answers {name} once to each sort of call",
            scenario,
            _every_trial(partial(Once, error, server)),
        )
        for server, (name, error) in reported
        # With MLflow's errors a job may be gone before it has a run.
        for scenario in (SUSPENSION, DELETION if server is Server.API else RETRY)
    ]


def _lost(hold: float | None) -> list[Outage]:
    how = "without an answer" if hold is None else f"and hangs for {hold:g} s"
    return [
        Outage(
            f"{scenario.name}: {server} applies the first write of each sort {how}",
            scenario,
            _every_trial(partial(Lost, server, hold)),
        )
        for server in Server
        for scenario in (RETRY, SUSPENSION, DELETION, TIME_TO_LIVE)
    ]


def _watches() -> list[Outage]:
    stale = [
        Plan(SUCCESS, ENDS, When.AFTER),
        Plan(FAILURE, NEWS, When.BEFORE),
        Plan(RETRY, NEXT_JOB, When.AFTER),
        Plan(DISRUPTION, NEXT_JOB, When.BEFORE),
        Plan(SUSPENSION, STOPS, When.AFTER),
        Plan(DELETION, KILLED, When.AFTER),
    ]
    return [
        Outage(f"{RETRY.name}: 410 at {at}", RETRY, partial(Expired, point=at))
        for at in (FIRST_JOB, NEXT_JOB)
    ] + [
        Outage(
            f"{plan.name}, then stale lists",
            plan.scenario,
            partial(Stale, plan=plan),
        )
        for plan in stale
    ]


def _lines() -> list[Outage]:
    """Each line in one scenario, each scenario in turn."""
    places = cycle(((SUCCESS, ENDS), (RETRY, NEXT_JOB), (SUSPENSION, STOPS), (DELETION, KILLED)))
    return [
        Outage(
            f"{scenario.name}: kopf's watch ends with {name} at {at}",
            scenario,
            partial(Says, point=at, line=line),
        )
        for (name, line), (scenario, at) in zip(LINES.items(), places, strict=False)
    ]


def _refused(seconds: float) -> list[Outage]:
    return [
        Outage(
            f"{scenario.name}: TrainingJobs cannot be read for {seconds:g} s from {at} ({name})",
            scenario,
            partial(Refused, point=at, error=error, seconds=seconds),
        )
        for (name, error), (scenario, at) in (
            (("503", Answer.api_error(503, "ServiceUnavailable")), (RETRY, NEXT_JOB)),
            (("403", Answer.api_error(403, "Forbidden")), (SUSPENSION, STOPS)),
            (("410", Answer.api_error(410, "Expired")), (DELETION, DELETES)),
            (("404", Answer(404, b"404 page not found")), (SUCCESS, NEWS)),
        )
    ]


def _slow() -> list[Outage]:
    return [
        Outage(
            f"{DELETION.name}: {server} is slow",
            DELETION,
            _every_trial(partial(Slow, server, 0.8)),
        )
        for server in Server
    ]


def _every_trial(fault: Callable[[], Fault]) -> MakeFault:
    """A fault that needs to know nothing of its trial."""

    def make(_: Trial) -> Fault:
        return fault()

    return make
