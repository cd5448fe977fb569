"""What pods hold that no operator expects: each job ends, and its status is taken."""

from functools import partial
from typing import Any

from hypothesis import given, settings
from trainingjob_operator.core.intent import EventIntent

from tests.support.api import GROUP, PLURAL, VERSION, Cluster, manifest
from tests.support.foreign import lives
from tests.support.pods import FOREVER, live_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

MESSAGES = {
    "half": '{"reason": "X", "message": "\\ud800"}',
    "deep": "[" * 4000,
    "far": '{"reason": "X", "message": "far", "step": 9223372036854775808}',
    "lists": '{"reason": "X", "message": {}, "frame": [], "rank": 1.0, "epoch": -1}',
}


def ended(cluster: Cluster, name: str, state: str) -> bool:
    return cluster.state(name) == state


def test_termination_messages_of_any_kind(cluster: Cluster, operator: OperatorProcess) -> None:
    annotations = {"kwok.trainingjob.dev/exit-code": "1"}
    for name, message in MESSAGES.items():
        reported = {**annotations, "kwok.trainingjob.dev/termination-message": message}
        cluster.apply(manifest(name, annotations=reported))
    failures = {}
    for name in MESSAGES:
        wait_for(f"{name} ended", partial(ended, cluster, name, "Failed"), 120)
        failures[name] = cluster.status(name)["failure"]
    assert failures["half"]["message"] == "\ufffd"
    assert failures["deep"]["reason"] == "NonZeroExitCode"
    assert failures["deep"]["message"].endswith("[[[")
    for name in ("far", "lists"):
        assert failures[name]["reason"] == "X"
        assert not {"step", "epoch", "frame", "globalRank"} & failures[name].keys()


def test_labels_and_annotations_of_any_kind(cluster: Cluster, operator: OperatorProcess) -> None:
    cluster.apply(manifest("relabelled", annotations=FOREVER))
    wait_for_attempt(cluster, "relabelled", 1)
    (pod,) = live_pods(cluster, "relabelled")
    metadata = {
        "labels": {"trainingjob.dev/attempt": "abc"},
        "annotations": {"batch.kubernetes.io/job-completion-index": "x"},
    }
    cluster.core.patch_namespaced_pod(pod.metadata.name, cluster.namespace, {"metadata": metadata})
    cluster.apply(manifest("another"))
    wait_for("another ended", partial(ended, cluster, "another", "Succeeded"), 120)
    assert cluster.state("relabelled") == "Running"


def test_the_api_server_takes_any_status_that_is_decided(cluster: Cluster) -> None:
    cluster.apply(manifest("sample"))

    @settings(max_examples=50, deadline=None)
    @given(lives())
    def all_are_taken(reported: list[tuple[dict[str, Any], tuple[EventIntent, ...]]]) -> None:
        for status, _ in reported:
            cluster.objects.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                cluster.namespace,
                PLURAL,
                "sample",
                {"status": status},
                dry_run="All",
            )

    all_are_taken()
