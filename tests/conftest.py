"""What all tests share: an MLflow server, the order of the files, patience, one environment."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.fixtures import mlflow, mlflow_process
from tests.support.waiting import begin_test

__all__ = ["mlflow", "mlflow_process"]

# A shared machine may stop for a moment anywhere: the time of an example says nothing.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")

_TESTS = Path(__file__).parent
_LONGEST_FIRST = [
    _TESTS / name
    for name in (
        "integration/faults/test_sample.py",
        "integration/operator/test_many_jobs.py",
        "integration/agent/test_delivery.py",
        "integration/operator/test_life.py",
        "integration/operator/test_stalls.py",
        "integration/trainer/test_resume.py",
        "integration/operator/test_restarts.py",
        "integration/localcluster/test_recovery.py",
        "integration/trainer/test_run.py",
        "integration/agent/test_environments.py",
        "integration/operator/test_rollout.py",
        "integration/agent/test_delivery_end.py",
        "integration/agent/test_execute.py",
        "integration/operator/test_deleted_runs.py",
        "integration/agent/test_delivery_refusals.py",
        "integration/operator/test_leader.py",
        "integration/agent/test_tracking.py",
        "integration/trainer/test_model_logging.py",
    )
]
"""Those that take longer than half a minute: no process is left alone with one of them at the end.

Those that wait stand between those that compute, of which three at once would only be slower.
"""


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Leave the next test the environment that this one found: MLflow reads its settings there."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Let no wait of a test outlast its time-out."""
    marker = item.get_closest_marker("timeout")
    common = item.config.getoption("timeout") or item.config.getini("timeout")
    begin_test(float(marker.args[0] if marker else common))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first; the order within a file stays."""
    items.sort(key=lambda item: _start(item.path))


def _start(file: Path) -> int:
    return _LONGEST_FIRST.index(file) if file in _LONGEST_FIRST else len(_LONGEST_FIRST)


if missing := [str(file) for file in _LONGEST_FIRST if not file.exists()]:
    raise pytest.UsageError(f"tests/conftest.py orders files that are not there: {missing}")
