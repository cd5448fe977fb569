import json

import pytest
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.observe import PodView
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
LIMIT = "the container used more memory than spec.resourcesPerNode.limits.memory"

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
        id="told-by-the-trainer",
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
        [failed_pod(0, code=134, finished=20), failed_pod(1, code=7, finished=20)],
        Cause("NonZeroExitCode", "the container exited with code 7", "node-1", 1, 7),
        id="at-the-same-second-the-one-without-a-signal",
    ),
    pytest.param(
        [running_pod()],
        Cause("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        id="no-pod-tells",
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
