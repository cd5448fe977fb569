"""What the agent of a node says of a training, by a tag of its run, is in the job's status."""

from tests.support.api import Cluster, Runs, manifest
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for


def test_nodes_that_train_without_each_other_are_a_condition_and_an_event(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("apart", nodes=2, annotations=FOREVER))
    wait_for_attempt(cluster, "apart", 1)
    run_id = cluster.status("apart")["mlflow"]["runId"]
    warning = "NodesNotJoined: the 2 nodes do not train together"
    runs.client.set_tag(run_id, "trainingjob.warning", warning)

    reported = wait_for("it says so", lambda: cluster.condition("apart", "NodesJoined"), 60)
    assert (reported["status"], reported["reason"]) == ("False", "NodesNotJoined")
    assert reported["message"] == "the 2 nodes do not train together"
    end_pods(cluster, "apart", 0)
    wait_for("it succeeded", lambda: cluster.state("apart") == "Succeeded", 60)
    assert cluster.events("apart").count(("Warning", "NodesNotJoined")) == 1
