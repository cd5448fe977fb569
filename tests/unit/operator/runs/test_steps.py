"""When a run made its last step, by the metrics that a search or a history gives."""

from typing import Any

import pytest
from trainingjob_operator.adapters.mlflow_rest import RunInfo
from trainingjob_operator.core.intent import StepWatch
from trainingjob_operator.runs.steps import PAGES_PER_LOOK, Steps

from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow

WATCH = StepWatch(since=at(0), seconds=60)


def info(**times: int) -> RunInfo:
    """A run whose metrics have points of these seconds."""
    return RunInfo(
        run_id="f00d",
        experiment_id="7",
        status="RUNNING",
        start_time_ms=0,
        end_time_ms=None,
        lifecycle_stage="active",
        tags={},
        metrics={},
        metric_times={
            key.replace("__", "/"): int(at(second).timestamp() * 1000)
            for key, second in times.items()
        },
    )


SEEN: list[Any] = [
    pytest.param(info(), None, None, False, id="no-metrics"),
    pytest.param(info(system__cpu=50), None, None, True, id="the-monitor-only"),
    pytest.param(
        info(progress__step=20, val__loss=40), "progress/step", 20, False, id="our-trainer"
    ),
    pytest.param(info(loss=20, accuracy=30), "accuracy", 30, False, id="a-script"),
    pytest.param(info(loss=20, accuracy=9000), "loss", 20, False, id="a-point-from-the-future"),
]


@pytest.mark.parametrize(("run", "metric", "last", "measured"), SEEN)
def test_what_shows_a_step(
    run: RunInfo, metric: str | None, last: int | None, measured: bool
) -> None:
    steps = Steps()
    steps.take(run, at(200))
    assert (steps.metric, steps.measured) == (metric, measured)
    assert steps.last == (None if last is None else at(last))


def test_what_the_history_had_is_not_forgotten_for_an_older_point_of_a_higher_step() -> None:
    steps = Steps(last_ms=int(at(100).timestamp() * 1000))
    steps.take(info(progress__step=20), at(200))
    assert steps.last == at(100)


def test_the_history_is_read_when_the_time_is_over_and_not_at_every_poll() -> None:
    steps = Steps()
    steps.take(info(progress__step=20), at(200))
    assert not steps.overdue(WATCH, at(79))
    assert steps.overdue(WATCH, at(80))
    steps.checked = at(80)
    assert not steps.overdue(WATCH, at(94))
    assert steps.overdue(WATCH, at(95))


async def test_a_history_of_any_length_is_read_in_bounded_parts_and_once() -> None:
    """A million points, the newest one of an attempt that began again at a low step."""
    first = int(at(0).timestamp() * 1000)
    fake = FakeMlflow()
    fake.points["f00d", "progress/step"] = [first + n for n in range(1_000_000)]
    steps = Steps(metric="progress/step", last_ms=first)
    looks: list[tuple[int, bool]] = []

    async with fake.serve() as server:
        while steps.checked is None:
            fake.log.clear()
            await steps.look_back(server, "f00d", at(2000))
            looks.append((fake.calls["metrics/get-history"], steps.checked is not None))
        fake.points["f00d", "progress/step"].append(first + 1_500_000)
        fake.log.clear()
        await steps.look_back(server, "f00d", at(2000))

    assert looks == [(PAGES_PER_LOOK, False)] * 19 + [(PAGES_PER_LOOK, True)]
    assert steps.last == at(1500)
    assert fake.calls == {"metrics/get-history": 2}
