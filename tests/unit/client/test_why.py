from typing import Any

import pytest
from trainingjob.adapters import advice
from trainingjob.core import job as jobs
from trainingjob.core.calls import Calls
from trainingjob.core.why import Advice, Explanation, explain
from trainingjob_operator.core.reasons import Reason

from tests.unit.client.bodies import NOW, body, job

KNOWN = {
    "OOMKilled": Advice("it used too much memory", "more memory"),
    "Unschedulable": Advice("no node fits", "ask for less"),
}
OPERATOR = (
    "if that lasts: does the operator run? kubectl get pods --all-namespaces "
    "--selector app.kubernetes.io/name=trainingjob-operator"
)
OOM = {"reason": "OOMKilled", "message": "so", "node": "gpu-4", "rank": 1, "epoch": 2, "step": 40}


@pytest.mark.parametrize(
    ("state", "status", "explanation"),
    [
        (
            None,
            {},
            Explanation(
                "No operator has acted on mnist yet.",
remedies=(OPERATOR,),
            ),
        ),
        ("Pending", {}, Explanation("mnist is Pending.")),
        (
            "Queued",
            {},
            Explanation(
                "mnist waits for its queue to admit it.",
                remedies=("kubectl get workloads --namespace ml says what it waits for",),
            ),
        ),
        (
            "Starting",
            {"conditions": [{"type": "Running", "status": "False", "message": "0 of 2 pods run"}]},
            Explanation(
                "mnist is starting: 0 of 2 pods run.",
                remedies=(
                    "mostly a node still pulls the image; tj events mnist shows what has happened",
                ),
            ),
        ),
        (
            "Starting",
            {"failure": {"reason": "Unschedulable", "message": "0/3 nodes are available"}},
            Explanation(
                "mnist does not start.",
                (
                    ("cause", "Unschedulable, no node fits"),
                    ("message", "0/3 nodes are available"),
                ),
                ("ask for less",),
            ),
        ),
        (
            "Running",
            {"progress": {"percentage": 40, "estimatedRemainingSeconds": 90}},
            Explanation("mnist is running, 40% done, 1m30s to go."),
        ),
        (
            "Running",
            {
                "conditions": [
                    {"type": "Running", "status": "True", "reason": "R", "message": "m"},
                    {"type": "Stalled", "status": "True", "reason": "NoStep", "message": "for 1h"},
                    {"type": "MLflowSynced", "status": "False", "reason": "Away", "message": "no"},
                ]
            },
            Explanation(
                "mnist is running.",
                (
                    ("Stalled is True", "NoStep: for 1h"),
                    ("MLflowSynced is False", "Away: no"),
                ),
            ),
        ),
        (
            "Restarting",
            {
                "nextAttemptTime": "2026-01-01T01:00:30Z",
                "failure": OOM,
                "attempts": [
                    {"attempt": 1, "outcome": "Failed", "reason": "OOMKilled", "exitCode": 137,
                     "rank": 1},
                ],
            },
            Explanation(
                "mnist starts again in 20s.",
                (
                    ("cause", "OOMKilled, it used too much memory"),
                    ("message", "so"),
                    ("where", "rank 1, node gpu-4, epoch 2, step 40"),
                    ("attempt 1", "Failed, OOMKilled, exit code 137 of rank 1"),
                ),
                ("more memory",),
            ),
        ),
        (
            "Restarting",
            {"nextAttemptTime": "2026-01-01T01:00:00Z"},
            Explanation("mnist starts again as soon as no pod of the last attempt is live."),
        ),
        (
            "Suspended",
            {},
            Explanation("mnist is suspended.", remedies=("tj resume mnist starts it again",)),
        ),
        (
            "Succeeded",
            {
                "attempt": 2,
                "failure": OOM,
                "attempts": [
                    {"attempt": 1, "outcome": "Disrupted", "reason": "Evicted"},
                    {"attempt": 2, "outcome": "Succeeded"},
                ],
            },
            Explanation(
                "mnist succeeded after 2 attempts.",
                (("attempt 1", "Disrupted, Evicted"), ("attempt 2", "Succeeded")),
            ),
        ),
        (
            "Failed",
            {
                "attempt": 1,
                "failure": {"reason": "Odd", "message": "boom", "frame": "train.py:7 in f"},
                "attempts": [{"attempt": 1, "outcome": "Failed", "reason": "Odd"}],
            },
            Explanation(
                "mnist failed.",
                (("cause", "Odd"), ("message", "boom"), ("line", "train.py:7 in f")),
                ("tj logs mnist shows its output",),
            ),
        ),
        (
            "Stopped",
            {"attempt": 2, "attempts": [{"attempt": 2, "outcome": "Stopped", "exitCode": 143}]},
            Explanation(
                "mnist was stopped after 2 attempts.",
                remedies=("tj logs mnist shows its output",),
            ),
        ),
    ],
)  # fmt: skip
def test_each_state_is_explained(
    state: str | None, status: dict[str, Any], explanation: Explanation
) -> None:
    assert explain(job(state, **status), NOW, KNOWN) == explanation


def test_a_job_that_is_being_deleted_and_one_of_another_controller() -> None:

    deleted = body("Running")
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert explain(jobs.read(deleted), NOW, KNOWN).sentence == (
        "mnist is being deleted: first its pods end and its run becomes KILLED."
    )
    other = job(spec={"managedBy": "kueue.x-k8s.io/multikueue"})
    assert explain(other, NOW, KNOWN).sentence == (
        "mnist is left to another controller, kueue.x-k8s.io/multikueue."
    )


def test_there_is_advice_for_each_reason_of_the_operator() -> None:
    assert {str(reason) for reason in Reason} <= set(advice.known())


def test_what_to_do_can_be_copied() -> None:
    """It has the place that this call was given."""
    suspended = explain(job("Suspended"), NOW, KNOWN, Calls("ml", "cluster-2"))
    assert suspended.remedies == (
        "tj resume mnist --namespace ml --context cluster-2 starts it again",
    )
