"""What the user reads when something is not as it should be: one line, and what to do."""

import os
from pathlib import Path

import yaml
from trainingjob.core import snapshot
from trainingjob.core.snapshot import File

from tests.integration.client.conftest import Tj
from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.processes import free_port

TOO_LARGE = (
    "→ put what the training does not need into .tjignore, data on a volume, and large files that "
    "it does need into the image"
)
REMEDY_WHEN_AWAY = (
    "→ is the cluster up, the VPN on, and the context right (kubectl config current-context)?"
)
RUN = ("run", "--image", "fake:1", "--name", "train")


def errors_of(tj: Tj, *arguments: str, **environment: str) -> list[str]:
    """The lines of standard error of a call that fails with 1 and prints nothing else."""
    done = tj(*arguments, environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


def server(tj: Tj) -> str:
    [cluster] = yaml.safe_load(tj.kubeconfig.read_text())["clusters"]
    return str(cluster["cluster"]["server"])


def kubeconfig(tj: Tj, target: Path, address: str | None = None, token: str | None = None) -> str:
    """A kubeconfig for another address, or another login."""
    config = yaml.safe_load(tj.kubeconfig.read_text())
    [cluster], [user] = config["clusters"], config["users"]
    cluster["cluster"]["server"] = address or cluster["cluster"]["server"]
    if token:
        user["user"] = {"token": token}
    target.write_text(yaml.safe_dump(config))
    return str(target)


def test_a_job_that_is_not_there(tj: Tj) -> None:
    for command in (("status",), ("why",), ("logs",), ("wait",), ("suspend",), ("delete",)):
        assert errors_of(tj, *command, "nope") == [
            f"error: there is no TrainingJob nope in namespace {tj.namespace}",
            "→ tj ls shows those that are there; --namespace chooses another",
        ]


def test_a_namespace_that_is_not_there(tj: Tj) -> None:
    lines = [
        f"error: {server(tj)} has no namespace nowhere",
        "→ choose another by --namespace, or have it created",
    ]
    assert errors_of(tj, "ls", "--namespace", "nowhere") == lines
    assert errors_of(tj, *RUN, "--no-code", "--namespace", "nowhere", "--", "true") == lines


def test_a_name_that_is_taken(tj: Tj, cluster: Cluster) -> None:
    cluster.apply(manifest("train"))
    assert errors_of(tj, *RUN, "--no-code", "--", "true") == [
        f"error: train exists in namespace {tj.namespace}",
        f"→ choose another name, or tj delete train --namespace {tj.namespace} first",
    ]


def test_a_field_that_the_api_server_refuses(tj: Tj, cluster: Cluster) -> None:
    done = tj(*RUN, "--env", "PET_NNODES=2", "--", "true")
    assert done.returncode == 1
    assert "spec.env must not set TRAININGJOB_*" in done.stderr
    assert "remove the entry" in done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.get("train") is None
    listed = cluster.core.list_namespaced_config_map(cluster.namespace).items
    assert [one.metadata.name for one in listed] == ["kube-root-ca.crt"]


def test_no_rights(tj: Tj, kwok: Kwok, cluster: Cluster, tmp_path: Path) -> None:
    cluster.core.create_namespaced_service_account(
        cluster.namespace, {"metadata": {"name": "guest"}}
    )
    token = kwok.kubectl("create", "token", "guest", f"--namespace={cluster.namespace}")
    guest = kubeconfig(tj, tmp_path / "guest", token=token.strip())
    message = (
        "trainingjobs.trainingjob.dev is forbidden: User "
        f'"system:serviceaccount:{cluster.namespace}:guest" cannot list resource "trainingjobs" '
        f'in API group "trainingjob.dev" in the namespace "{cluster.namespace}"'
    )
    role = f"ask for the role edit in namespace {cluster.namespace} (docs/install.md)"
    assert errors_of(tj, "ls", KUBECONFIG=guest) == [
        f"error: {message}",
        f"→ choose another --namespace, or {role}",
    ]


def test_a_login_that_is_over(tj: Tj, tmp_path: Path) -> None:
    over = kubeconfig(tj, tmp_path / "over", token="nothing")
    assert errors_of(tj, "ls", KUBECONFIG=over) == [
        f"error: {server(tj)} does not know you (Unauthorized)",
        "→ log in again, as for kubectl: kubectl auth whoami must work",
    ]


def test_no_cluster(tj: Tj, tmp_path: Path) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    away = kubeconfig(tj, tmp_path / "away", address)
    assert errors_of(tj, "ls", KUBECONFIG=away) == [
        f"error: the API server {address} does not answer: [Errno 111] Connection refused",
        "→ is the cluster up, the VPN on, and the context right (kubectl config current-context)?",
    ]


def test_no_kubeconfig(tj: Tj, tmp_path: Path) -> None:
    [error, remedy] = errors_of(tj, "ls", KUBECONFIG=str(tmp_path / "none"))
    assert error.startswith("error: no cluster: ")
    assert remedy == (
        "→ name a kubeconfig by KUBECONFIG, as for kubectl, and one of its contexts by --context"
    )
    [error, _] = errors_of(tj, "ls", "--context", "nope")
    assert "nope" in error


def test_a_cluster_without_trainingjobs(tj: Tj, tmp_path: Path) -> None:
    # A server that does not have the resource answers so for any path that it does not have.
    away = kubeconfig(tj, tmp_path / "kubeconfig", f"{server(tj)}/nothing")
    assert errors_of(tj, "ls", KUBECONFIG=away) == [
        f"error: the cluster at {server(tj)}/nothing has no TrainingJobs",
        "→ choose another --context, or have the operator installed (docs/install.md)",
    ]


def test_the_largest_code_that_a_config_map_holds(tj: Tj, cluster: Cluster) -> None:
    """What the client puts into one, the API server takes, with the texts beside it."""
    noise = os.urandom(snapshot.CONFIG_MAP_BYTES)
    largest = 0
    low, high = 0, len(noise)
    while low <= high:
        count = (low + high) // 2
        if snapshot.pack([File("train.py", noise[:count])]).fits:
            largest, low = count, count + 1
        else:
            high = count - 1
    packed = snapshot.pack([File("train.py", noise[:largest])])
    assert snapshot.CONFIG_MAP_BYTES - 100 < len(packed.archive) <= snapshot.CONFIG_MAP_BYTES
    longest = "x" * (32 * 2**10)
    full = snapshot.with_job(snapshot.config_map("full", packed), longest)
    full["data"]["changes.diff"] = longest
    cluster.core.create_namespaced_config_map(cluster.namespace, full)


def test_more_code_than_goes_along(tj: Tj) -> None:
    with (tj.directory / "weights.pt").open("wb") as file:
        file.truncate(snapshot.MAX_BYTES)
    assert errors_of(tj, *RUN, "--detach", "--", "true") == [
        (
            "error: the code has 256 MiB, more than the 256 MiB that can go along; "
            "the largest files are weights.pt (256 MiB), train.py (17 B)"
        ),
        TOO_LARGE,
    ]


def test_code_for_a_run_that_nobody_makes(tj: Tj, cluster: Cluster) -> None:
    """Without an operator there is no run to hold it: nothing stays behind."""
    (tj.directory / "weights.pt").write_bytes(os.urandom(2**20))
    done = tj(*RUN, "--detach", "--", "true")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: train gets no run, whose artifacts would hold the code",
        f"→ tj doctor --namespace {tj.namespace} says whether the operator runs and MLflow answers",
    ]
    assert cluster.get("train") is None
