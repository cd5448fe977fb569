"""What the demo does to the cluster: environment, installation, the TrainingJob itself."""

import hashlib
import os
import subprocess
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
SYSTEM_NAMESPACE = "trainingjob-system"
NAMESPACE = "training"
RELEASE = "trainingjob-operator"
# The kubelet's share aside, a training pod with the CUDA build of torch takes about 1 GiB.
TWO_NODES_BYTES = 8 * 2**30
NAMESPACES = "\n---\n".join(
    f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    pod-security.kubernetes.io/enforce: restricted"""
    for name in (SYSTEM_NAMESPACE, NAMESPACE)
)


def adopt_environment() -> None:
    """Set here what `localcluster env` exports: KUBECONFIG, PATH, MLFLOW_TRACKING_URI."""
    script = 'exports="$(localcluster env --profile node)" && eval "$exports" && env -0'
    output = subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.PIPE, text=True)
    pairs = (variable.partition("=") for variable in output.stdout.split("\0") if variable)
    os.environ.update({name: value for name, _, value in pairs})


def _run(*command: str, stdin: str | None = None) -> None:
    subprocess.run(command, check=True, input=stdin, text=True)


def code_version() -> str:
    """Return a hash of the operator's code: a new build under the same tag is then rolled out."""
    digest = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    for path in sorted((ROOT / "operator").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def install(ui_url: str) -> None:
    """Install or upgrade the operator and the demo MLflow, and wait until both are ready."""
    _run("kubectl", "apply", "--filename", "-", stdin=NAMESPACES)
    _run(
        *("helm", "upgrade", "--install", RELEASE, str(ROOT / "helm" / RELEASE)),
        *("--namespace", SYSTEM_NAMESPACE, "--values", str(ROOT / "demo" / "values.yaml")),
        *("--set-string", f"mlflow.uiUrl={ui_url}"),
        *("--set-string", f"podAnnotations.trainingjob\\.dev/code={code_version()}"),
        *("--wait", "--timeout", "5m", "--hide-notes"),
    )


def choose_example() -> Path:
    """Return the MNIST example on two nodes, or on one where memory is short."""
    enough = psutil.virtual_memory().available >= TWO_NODES_BYTES
    name = "mnist-two-nodes.yaml" if enough else "mnist.yaml"
    return ROOT / "manifests" / "examples" / name


def name_of(example: Path) -> str:
    """Return the name of the example's TrainingJob."""
    documents = yaml.safe_load_all(example.read_text())
    job = next(one for one in documents if one["kind"] == "TrainingJob")
    return str(job["metadata"]["name"])


def start(example: Path) -> None:
    """Apply the example anew."""
    # Two training pods at a time are what a laptop holds: an earlier demo goes first.
    _run("kubectl", "--namespace", NAMESPACE, "delete", "trainingjobs", "--all", "--timeout=2m")
    _run("kubectl", "--namespace", NAMESPACE, "apply", "--filename", str(example))


def show(*command: str) -> None:
    """Print a command and its output, as a user would type it."""
    print(f"\n$ {' '.join(command)}", flush=True)
    _run(*command)


def diagnose() -> None:
    """Print what helps to find out why the demo failed."""
    for namespace in (SYSTEM_NAMESPACE, NAMESPACE):
        for command in (
            ("get", "trainingjobs,jobs,pods", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ):
            subprocess.run(["kubectl", "--namespace", namespace, *command], check=False)
    log = ("logs", f"deployment/{RELEASE}", "--tail=50")
    subprocess.run(["kubectl", "--namespace", SYSTEM_NAMESPACE, *log], check=False)
