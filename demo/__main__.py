"""Install the operator on the local cluster, train MNIST, and show that MLflow has all of it."""

import logging
import os
import subprocess
import sys

import mlflow
from kubernetes.config import load_kube_config
from mlflow import MlflowClient

from demo import cluster, report
from demo.follow import Follower

TIMEOUT_SECONDS = 900
OUTPUT = cluster.ROOT / "out" / "demo"


def heading(text: str) -> None:
    """Print what comes next."""
    print(f"\n=== {text}", flush=True)


def run() -> list[str]:
    """Do it all and return what is missing in the end; nothing when the demo succeeded."""
    cluster.adopt_environment()
    tracking_uri = os.environ["MLFLOW_TRACKING_URI"]
    # Report a dead server at once, not after minutes of retries.
    os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="2", MLFLOW_HTTP_REQUEST_TIMEOUT="10")
    # Bars of MLflow's downloads would come between the lines of the report.
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    mlflow.set_tracking_uri(tracking_uri)
    load_kube_config(os.environ["KUBECONFIG"])

    heading("Installing the operator and a demo MLflow (helm upgrade --install)")
    cluster.install(tracking_uri)
    example = cluster.choose_example()
    client = MlflowClient()
    follower = Follower(cluster.NAMESPACE, cluster.name_of(example), client)
    follower.connect()
    heading(f"Starting {example.relative_to(cluster.ROOT)}")
    cluster.start(example)
    job = follower.until_end(TIMEOUT_SECONDS)
    run_id = job.get("status", {}).get("mlflow", {}).get("runId")

    cluster.show("kubectl", "--namespace", cluster.NAMESPACE, "get", "trainingjobs")
    if run_id is None:
        return ["the TrainingJob has no MLflow run"]
    evidence = report.collect(client, run_id)
    report.print_history(follower.history)
    report.print_evidence(evidence, report.download_pictures(client, run_id, evidence, OUTPUT))
    print(f"\nMLflow UI  {tracking_uri}/#/experiments/{job['status']['mlflow']['experimentId']}")
    print(f"This run   {job['status']['mlflow']['url']}")
    print('The cluster stays up. In this shell: eval "$(.venv/bin/localcluster env)"')
    print("Remove it: make clean")
    return report.wrong_history(follower.history) + evidence.missing()


def main() -> int:
    """Run the demo and return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        missing = run()
    except (subprocess.CalledProcessError, TimeoutError) as error:
        cluster.diagnose()
        missing = [str(error)]
    for sentence in missing:
        print(f"FAILED: {sentence}", file=sys.stderr)
    if not missing:
        print("\nThe demo succeeded: the run is FINISHED and everything is in it.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
