"""The variables by which launchers, and scripts without one, find the other processes."""

from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import RUN, training_job


def launcher_variables(spec: dict[str, Any]) -> dict[str, str | None]:
    job = manifests.child_job(training_job(spec), 1, RUN, Tracking("http://mlflow:5000"))
    [container] = job["spec"]["template"]["spec"]["containers"]
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    variables = [one for one in container["env"] if one["name"] in names]
    assert len({one["name"] for one in variables}) == len(variables)
    return {one["name"]: one.get("value") for one in variables}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"MASTER_PORT": "29500", "WORLD_SIZE": "1", "RANK": None}),
        ({"numProcPerNode": 2}, {"MASTER_PORT": "29500"}),
        (
            {"numNodes": 3},
            {
                "MASTER_PORT": "29500",
                "WORLD_SIZE": "3",
                "RANK": None,
                "LOCAL_WORLD_SIZE": "1",
                "LOCAL_RANK": "0",
            },
        ),
        ({"numNodes": 3, "numProcPerNode": 2}, {"MASTER_PORT": "29500"}),
        (
            {"env": [{"name": "MASTER_PORT", "value": "1234"}, {"name": "RANK", "value": "0"}]},
            {"MASTER_PORT": "1234", "RANK": "0", "WORLD_SIZE": "1"},
        ),
    ],
    ids=["one process", "two processes", "three nodes", "of two processes", "spec.env wins"],
)
def test_a_pod_that_is_one_rank_knows_which(
    spec: dict[str, Any], expected: dict[str, str | None]
) -> None:
    assert launcher_variables(spec) == expected
