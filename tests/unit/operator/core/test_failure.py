import json
from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.observe import ContainerEnd, InitFailure, PodView
from trainingjob_operator.core.policies.failure import cause_of

from tests.support.jobs import at, child, failed_pod, pod, running_pod

TOLD = json.dumps(
    {
        "reason": "CudaOutOfMemory",
        "message": "tried to allocate 2 GiB",
        "exception": "torch.OutOfMemoryError",
        "frame": "train.py:12 in step",
        "rank": 0,
        "epoch": 1,
        "step": 40,
    }
)
NOT_FOUND = 'exec: "trainingjob-exce": executable file not found in $PATH'
LIMIT = "the container used more memory than spec.resourcesPerNode.limits.memory"


def init_failed(code: int, reason: str = "Error", message: str = "", finished: int = 20) -> PodView:
    end = ContainerEnd(code, reason, message, at(finished))
    return pod(phase="Failed", init_failure=InitFailure("fetch", end))


CAUSES = [
    pytest.param(
        [failed_pod(code=3)],
        Cause("NonZeroExitCode", "the container exited with code 3", "node-0", 0, 3),
        id="exit-code",
    ),
    pytest.param(
        [failed_pod(code=1, message="ValueError: bad\n")],
        Cause(
            "NonZeroExitCode",
            "the container exited with code 1: ValueError: bad",
            "node-0",
            0,
            1,
        ),
        id="last-log-lines",
    ),
    pytest.param(
        [failed_pod(code=137)],
        Cause("Signal", "the container was ended by SIGKILL", "node-0", 0, 137),
        id="sigkill",
    ),
    pytest.param(
        [failed_pod(code=137, reason="OOMKilled")],
        Cause("OOMKilled", LIMIT, "node-0", 0, 137),
        id="out-of-memory",
    ),
    pytest.param(
        [failed_pod(code=128, reason="StartError", message=NOT_FOUND)],
        Cause("StartError", f"the container could not be started: {NOT_FOUND}", "node-0", 0, 128),
        id="a-command-that-is-not-there",
    ),
    pytest.param(
        [failed_pod(code=127, reason="ContainerCannotRun", message=NOT_FOUND)],
        Cause(
            "ContainerCannotRun",
            f"the container could not be started: {NOT_FOUND}",
            "node-0",
            0,
            127,
        ),
        id="the-same-by-another-runtime",
    ),
    pytest.param(
        [failed_pod(code=1, message=TOLD)],
        Cause(
            "CudaOutOfMemory",
            "tried to allocate 2 GiB (train.py:12 in step)",
            "node-0",
            0,
            1,
            global_rank=0,
            frame="train.py:12 in step",
            epoch=1,
            step=40,
        ),
        id="reported-by-the-trainer",
    ),
    pytest.param(
        [failed_pod(code=137, pod_reason="Evicted")],
        Cause("Evicted", "the pod was ended by the node: Evicted", "node-0", 0, 137),
        id="evicted",
    ),
    pytest.param(
        [pod(phase="Failed", reason="UnexpectedAdmissionError")],
        Cause(
            "UnexpectedAdmissionError",
            "pod mnist-1-0-x failed before its container ran",
            "node-0",
            0,
        ),
        id="never-ran",
    ),
    pytest.param(
        [init_failed(3, message="no such bucket\n")],
        Cause(
            "InitContainerFailed",
            "init container fetch: the container exited with code 3: no such bucket",
            "node-0",
            0,
            3,
        ),
        id="init-container",
    ),
    pytest.param(
        [init_failed(137, "OOMKilled")],
        Cause(
            "OOMKilled",
            "init container fetch: the container used more memory than "
            "the resources.limits.memory of fetch in spec.initContainers",
            "node-0",
            0,
            137,
        ),
        id="init-container-out-of-memory",
    ),
    pytest.param(
        [init_failed(128, "StartError", NOT_FOUND)],
        Cause(
            "StartError",
            f"init container fetch: the container could not be started: {NOT_FOUND}",
            "node-0",
            0,
            128,
        ),
        id="a-command-that-its-image-does-not-have",
    ),
    pytest.param(
        [init_failed(3, finished=19), failed_pod(1, code=7, finished=20)],
        Cause(
            "InitContainerFailed",
            "init container fetch: the container exited with code 3",
            "node-0",
            0,
            3,
        ),
        id="init-container-before-another-rank",
    ),
    pytest.param(
        [failed_pod(0, code=1, finished=21), failed_pod(1, code=7, finished=20)],
        Cause("NonZeroExitCode", "the container exited with code 7", "node-1", 1, 7),
        id="first-in-time",
    ),
    pytest.param(
        [failed_pod(0, code=143, finished=19), failed_pod(1, code=7, finished=20)],
        Cause("NonZeroExitCode", "the container exited with code 7", "node-1", 1, 7),
        id="a-terminated-rank-is-not-the-cause",
    ),
    pytest.param(
        [
            failed_pod(0, code=1, finished=20),
            replace(failed_pod(1, code=143, finished=21), deleting=True, deleted_at=at(19)),
        ],
        Cause("Signal", "the container was ended by SIGTERM", "node-1", 1, 143),
        id="a-rank-that-lost-a-deleted-one-is-not-the-cause",
    ),
    pytest.param(
        [
            failed_pod(0, code=1, finished=20),
            replace(failed_pod(1, code=143, finished=21), deleting=True, deleted_at=at(20)),
        ],
        Cause("NonZeroExitCode", "the container exited with code 1", "node-0", 0, 1),
        id="a-rank-that-was-deleted-for-it-is-not-the-cause",
    ),
    pytest.param(
        [failed_pod(0, code=134, finished=20), failed_pod(1, code=7, finished=20)],
        Cause("NonZeroExitCode", "the container exited with code 7", "node-1", 1, 7),
        id="at-the-same-second-the-one-without-a-signal",
    ),
    pytest.param(
        [replace(failed_pod(code=1, message=TOLD), ending=True, reason="DeadlineExceeded")],
        Cause(
            "CudaOutOfMemory",
            "tried to allocate 2 GiB (train.py:12 in step)",
            "node-0",
            0,
            1,
            global_rank=0,
            frame="train.py:12 in step",
            epoch=1,
            step=40,
        ),
        id="one-that-ended-by-itself-as-we-were-to-end-it",
    ),
    pytest.param(
        [running_pod()],
        Cause("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        id="no-pod-has-a-cause",
    ),
]


@pytest.mark.parametrize(("pods", "expected"), CAUSES)
def test_cause_of_a_failed_attempt(pods: list[PodView], expected: Cause) -> None:
    job = child(
        failed=True,
        reason="BackoffLimitExceeded",
        message="Job has reached the specified backoff limit",
        ended_at=at(21),
    )
    assert cause_of(job, tuple(pods)) == expected


def test_a_long_message_keeps_its_end() -> None:
    cause = cause_of(child(failed=True), (failed_pod(message="x" * 5000 + " the cause"),))
    assert len(cause.message) == 1024
    assert cause.message.endswith("the cause")


FOREIGN: list[Any] = [
    pytest.param({"message": "\ud800 bad"}, {"message": "\ufffd bad"}, id="half-a-character"),
    pytest.param({"message": {"text": "x"}}, {"message": ""}, id="message-no-text"),
    pytest.param({"frame": ["train.py:12"]}, {}, id="frame-no-text"),
    pytest.param(
        {"frame": "\udc80.py:1"},
        {"message": "bad (\ufffd.py:1)", "frame": "\ufffd.py:1"},
        id="frame",
    ),
    pytest.param({"step": 2**63}, {}, id="step-beyond-int64"),
    pytest.param({"step": 40}, {"step": 40}, id="step"),
    pytest.param({"epoch": -1}, {}, id="epoch-negative"),
    pytest.param({"epoch": float("nan")}, {}, id="epoch-nan"),
    pytest.param({"rank": 1.0}, {}, id="rank-a-float"),
    pytest.param({"rank": True}, {}, id="rank-a-bool"),
    pytest.param({"rank": "1"}, {}, id="rank-a-text"),
]


@pytest.mark.parametrize(("more", "expected"), FOREIGN)
def test_a_part_of_a_report_that_is_of_no_use(
    more: dict[str, Any], expected: dict[str, Any]
) -> None:
    shown = json.dumps({"reason": "X", "message": "bad", **more})
    whole = {"reason": "X", "message": "bad", "node": "node-0", "rank": 0, "exit_code": 1}
    assert cause_of(child(failed=True), (failed_pod(message=shown),)) == Cause(
        **{**whole, **expected}
    )


NO_REPORTS = [
    "[" * 4000,
    "[]",
    '"X"',
    '{"reason": "not a word"}',
    '{"reason": 1}',
    '{"reason"',
    "NaN",
]


@pytest.mark.parametrize("message", NO_REPORTS)
def test_any_other_message_is_text(message: str) -> None:
    cause = cause_of(child(failed=True), (failed_pod(message=message),))
    assert cause.reason == "NonZeroExitCode"
    assert cause.message.endswith(message[-1000:])
