"""Init containers and sidecars of a pod: what the operator makes of how they end."""

from typing import Any

import pytest
from trainingjob_operator.core.decode import pod_view
from trainingjob_operator.core.observe import ContainerEnd, InitFailure, PodView

from tests.support.jobs import at

LABELS = {
    "trainingjob.dev/name": "mnist",
    "trainingjob.dev/uid": "u-1",
    "trainingjob.dev/attempt": "2",
}


def initialized(*states: dict[str, Any], trainer: dict[str, Any] | None = None) -> PodView:
    """A pod with the sidecar `mesh` and the init container `fetch`, in these states."""
    waits = trainer or {"waiting": {"reason": "PodInitializing"}}
    return pod_view(
        {
            "metadata": {"namespace": "ml", "name": "mnist-2-1-x", "labels": LABELS},
            "spec": {
                "nodeName": "node-1",
                "initContainers": [
                    {"name": "mesh", "restartPolicy": "Always"},
                    {"name": "fetch"},
                ],
                "containers": [{"name": "trainer"}],
            },
            "status": {
                "phase": "Running" if trainer else "Failed",
                "initContainerStatuses": [
                    {"name": name, "state": state}
                    for name, state in zip(("mesh", "fetch"), states, strict=True)
                ],
                "containerStatuses": [{"name": "trainer", "state": waits}],
            },
        }
    )


def ended(code: int, message: str = "") -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:00:20Z"}
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message, **times}}


def test_the_init_container_that_failed_and_not_the_sidecar_that_was_ended_with_it() -> None:
    view = initialized(ended(143), ended(3, "no such bucket"))
    assert (view.failed, view.ended, view.end) == (True, True, None)
    assert view.init_failure == InitFailure(
        "fetch", ContainerEnd(3, "Error", "no such bucket", at(20))
    )


def test_a_sidecar_that_is_ended_after_the_trainer_is_no_failure() -> None:
    view = initialized(ended(143), ended(0), trainer=ended(0))
    assert (view.failed, view.ended, view.init_failure) == (False, True, None)


@pytest.mark.parametrize(
    ("trainer", "ending"),
    [({"running": {"startedAt": "2026-01-01T00:00:05Z"}}, False), (ended(0), True)],
)
def test_a_node_ends_a_pod_in_which_only_sidecars_are_left(
    trainer: dict[str, Any], ending: bool
) -> None:
    assert initialized({"running": {}}, ended(0), trainer=trainer).ending is ending
