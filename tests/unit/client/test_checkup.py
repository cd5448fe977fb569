import pytest
from trainingjob.core import checkup
from trainingjob.core.checkup import Finding, Right
from trainingjob.errors import UserError

LOG = (
    "its log: kubectl logs --all-namespaces --selector "
    "app.kubernetes.io/name=trainingjob-operator; docs/install.md"
)
MLFLOW = (
    "only logs of pods that are gone, and results, need it: set MLFLOW_TRACKING_URI to an address "
    "that this machine reaches"
)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (checkup.of_error(UserError("away", "try")), Finding(False, "away", "try")),
        (checkup.of_rights([], "ml"), Finding(True, "all rights in namespace ml")),
        (
            checkup.of_rights(
                [Right("get", "pods", subresource="log"), Right("create", "configmaps")], "ml"
            ),
            Finding(
                False,
                "no right in namespace ml to get pods/log, create configmaps",
                "ask for the role edit in namespace ml, or choose another --namespace",
            ),
        ),
        (checkup.of_operators([1, 1]), Finding(True, "the operator runs, 2 ready")),
        (checkup.of_operators([0]), Finding(False, "the operator does not run", LOG)),
        (checkup.of_operators([]), Finding(False, "there is no operator in the cluster", LOG)),
        (
            checkup.of_operators(None),
            Finding(None, "whether the operator runs, this login may not see"),
        ),
        (checkup.of_gpus([8, 0, 4]), Finding(True, "12 NVIDIA GPUs on 2 nodes")),
        (
            checkup.of_gpus([0]),
            Finding(True, "no NVIDIA GPUs: jobs with --gpus would wait for ever"),
        ),
        (checkup.of_gpus(None), Finding(None, "which GPUs there are, this login may not see")),
        (checkup.of_queues(["b", "a"], "ml"), Finding(True, "queues: a, b")),
        (
            checkup.of_queues([], "ml"),
            Finding(True, "no LocalQueue in namespace ml: leave --queue out"),
        ),
        (
            checkup.of_queues(None, "ml"),
            Finding(True, "no queues of Kueue to be seen: leave --queue out"),
        ),
        (checkup.of_mlflow("http://m", None), Finding(True, "MLflow at http://m answers")),
        (
            checkup.of_mlflow("http://m", "refused"),
            Finding(False, "MLflow at http://m does not answer from here: refused", MLFLOW),
        ),
        (
            checkup.of_mlflow_in_a_pod("train-1-0", "http://m", ""),
            Finding(True, "MLflow at http://m answers in pod train-1-0"),
        ),
        (
            checkup.of_mlflow_in_a_pod("train-1-0", "http://m", "timed out"),
            Finding(
                False,
                "MLflow at http://m does not answer in pod train-1-0: timed out",
                "look at the network policies of the namespace and at mlflow.trackingUri of the "
                "operator (docs/install.md)",
            ),
        ),
        (
            checkup.of_pods_unasked(),
            Finding(
                None,
                "whether MLflow answers in pods: no pod of a job runs",
                "ask again while a job runs",
            ),
        ),
        (
            checkup.of_pods_unasked(UserError("no kubectl", "install it")),
            Finding(None, "whether MLflow answers in pods: no kubectl", "install it"),
        ),
        (
            checkup.of_mlflow(None, None),
            Finding(
                None,
                "where MLflow is, no job of the namespace says yet",
                "set MLFLOW_TRACKING_URI, or ask again after the first job",
            ),
        ),
    ],
)
def test_findings(finding: Finding, expected: Finding) -> None:
    assert finding == expected
