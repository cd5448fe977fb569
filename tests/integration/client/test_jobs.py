"""Jobs that `tj` starts, shows and ends, on the real control plane by the real operator."""

import base64
import gzip
import io
import json
import re
import signal
import subprocess
import tarfile

import yaml

from tests.integration.client.conftest import Tj
from tests.support.api import Cluster, Runs, manifest
from tests.support.processes import OperatorProcess, take_interrupts
from tests.support.runtimes import RuntimeObjects
from tests.support.waiting import wait_for

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
OUT_OF_MEMORY = {
    "kwok.trainingjob.dev/exit-code": "137",
    "kwok.trainingjob.dev/reason": "OOMKilled",
}
RUN = ("run", "--name", "train", "--image", "fake:1")


def test_a_job_is_started_with_the_code_and_ends_with_its_exit_code(
    tj: Tj, cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    done = tj(*RUN, "--env", "GREETING=hi $(X)", "--", "python", "train.py", "--lr", "3e-4")

    assert (done.returncode, done.stderr) == (0, "")
    [run] = runs.by_job()["train"]
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"tj: code: 1 file, 17 B \(\d+ B packed\)", lines[0])
    assert lines[1] == f"train created in namespace {cluster.namespace}"
    assert any(run.info.run_id in line for line in lines)
    assert "tj: Running" in lines
    # A fake node has no output to read, which may be said after the end.
    assert "tj: Succeeded" in lines

    job = cluster.get("train")
    assert job is not None
    container = job["spec"]
    assert container["args"] == ["python", "train.py", "--lr", "3e-4"]
    assert container["env"] == [{"name": "GREETING", "value": "hi $$(X)"}]
    tags = job["spec"]["mlflow"]["tags"]
    assert tags["code.command"] == "python train.py --lr 3e-4"
    assert {name: run.data.tags[name] for name in tags} == tags

    [found] = cluster.core.list_namespaced_config_map(
        cluster.namespace, label_selector="trainingjob.dev/name=train"
    ).items
    assert found.immutable
    [owner] = found.metadata.owner_references
    assert (owner.kind, owner.name, owner.uid) == ("TrainingJob", "train", job["metadata"]["uid"])
    content = found.binary_data["code.tar.gz"]
    packed = gzip.decompress(base64.b64decode(content))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["train.py"]


def test_the_code_goes_with_the_job_and_the_name_can_be_used_again(
    tj: Tj, cluster: Cluster, operator: OperatorProcess
) -> None:
    for _ in range(2):
        assert tj(*RUN, "--detach", "--", "python", "train.py").returncode == 0
        assert tj("delete", "train").returncode == 0
        wait_for("the job is gone", lambda: cluster.get("train") is None, 60)

    def code() -> int:
        listed = cluster.core.list_namespaced_config_map(
            cluster.namespace, label_selector="trainingjob.dev/name=train"
        )
        return len(listed.items)

    wait_for("its code is gone", lambda: code() == 0, 60)


def test_a_job_is_started_again_with_its_code_and_other_arguments(
    tj: Tj, cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    assert tj(*RUN, "--detach", "--", "python", "train.py").returncode == 0
    (tj.directory / "train.py").unlink()
    done = tj("rerun", "train", "--name", "again", "--", "python", "train.py", "--lr", "1")
    assert done.returncode == 0
    assert "tj: Succeeded" in done.stdout.splitlines()
    first, second = cluster.get("train"), cluster.get("again")
    assert first is not None
    assert second is not None
    assert second["spec"]["args"] == ["python", "train.py", "--lr", "1"]
    packed = [
        one.binary_data["code.tar.gz"]
        for one in cluster.core.list_namespaced_config_map(cluster.namespace).items
        if one.metadata.name.startswith(("train-code-", "again-code-"))
    ]
    assert len(packed) == 2
    assert packed[0] == packed[1]
    [run] = runs.by_job()["again"]
    assert run.data.tags["code.repeats"] == "train"
    assert run.data.tags["code.sha256"] == first["spec"]["mlflow"]["tags"]["code.sha256"]


def test_a_failure_is_explained_and_its_exit_code_passed_on(
    tj: Tj, cluster: Cluster, operator: OperatorProcess
) -> None:
    file = tj.directory / "job.yaml"
    file.write_text(yaml.safe_dump(manifest("oom", annotations=OUT_OF_MEMORY)))
    done = tj("run", "--file", "job.yaml")
    assert done.returncode == 137
    why = tj("why", "oom")
    assert why.returncode == 0
    assert done.stdout.endswith(why.stdout)
    lines = why.stdout.splitlines()
    assert lines[:2] == [
        "oom failed.",
        "  cause    OOMKilled, the container used more than resourcesPerNode.limits.memory",
    ]
    assert lines[-2:] == [
        "→ a higher limit or less memory; it is retried only if 137 is in retry.retryableExitCodes",
        f"→ tj logs oom --namespace {tj.namespace} shows its output",
    ]
    waited = tj("wait", "oom")
    assert (waited.returncode, waited.stdout) == (137, "oom Failed\n")
    shown = tj("events", "oom").stdout
    assert "OOMKilled" in shown
    assert "TrainingJob/oom" in shown
    assert "Pod/oom-1-0" in shown  # the scheduler's


def test_ctrl_c_detaches_and_says_how_to_come_back(
    tj: Tj, cluster: Cluster, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("long", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("long") == "Running", 60)
    following = subprocess.Popen(
        tj.command("logs", "long", "--follow"),
        env=tj.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=take_interrupts,
    )
    assert following.stdout is not None
    wait_for("it is shown", lambda: "Running" in (following.stdout or io.StringIO()).readline(), 60)
    following.send_signal(signal.SIGINT)
    _, error = following.communicate(timeout=60)
    assert following.returncode == 130
    place = f"--namespace {tj.namespace}"
    assert error == (
        f"\ndetached, long goes on: tj logs long --follow {place} comes back, "
        f"tj stop long {place} ends it\n"
    )
    assert cluster.state("long") == "Running"


def test_a_job_is_suspended_and_resumed(
    tj: Tj, cluster: Cluster, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("job", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("job") == "Running", 60)
    assert tj("suspend", "job").stdout == (
        f"job is being suspended; tj resume job --namespace {tj.namespace} starts it again\n"
    )
    wait_for("it is suspended", lambda: cluster.state("job") == "Suspended", 90)
    assert tj("why", "job").stdout.splitlines()[0] == "job is suspended."
    assert tj("resume", "job").returncode == 0
    wait_for("it runs again", lambda: cluster.state("job") == "Running", 60)
    timed_out = tj("wait", "job", "--timeout", "1")
    assert (timed_out.returncode, timed_out.stderr) == (124, "job has not ended within 1 s\n")


def test_a_job_is_stopped(tj: Tj, cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.apply(manifest("job", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("job") == "Running", 60)
    assert tj("stop", "job").stdout == (
        f"job is being stopped; tj wait job --namespace {tj.namespace} waits for its end\n"
    )
    waited = tj("wait", "job")
    assert waited.stdout == "job Stopped\n"
    assert waited.returncode != 0
    assert tj("why", "job").stdout.splitlines()[0] == "job was stopped."
    wait_for("its run ends", lambda: runs.by_job()["job"][0].info.status == "KILLED", 60)
    assert tj("stop", "job").stdout == "job has ended already: Stopped\n"


def test_jobs_are_listed(tj: Tj, cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    assert tj("ls").stdout == f"no TrainingJobs in namespace {cluster.namespace}\n"
    cluster.apply(manifest("one", annotations=FOREVER), manifest("two", nodes=2))
    wait_for("one ended", lambda: cluster.states() == {"one": "Running", "two": "Succeeded"}, 60)
    heading, *rows = tj("ls").stdout.splitlines()
    assert heading.split() == [
        *("NAME", "STATE", "PROGRESS", "ETA", "ATTEMPT", "NODES", "AGE", "RUN", "REASON")
    ]
    assert {row.split()[0]: row.split()[1] for row in rows} == {
        "one": "Running",
        "two": "Succeeded",
    }
    found = {job["name"]: job for job in json.loads(tj("ls", "--json").stdout)}
    [run] = runs.by_job()["two"]
    assert (found["two"]["state"], found["two"]["runId"], found["two"]["numNodes"]) == (
        "Succeeded",
        run.info.run_id,
        2,
    )
    assert json.loads(tj("status", "two", "--json").stdout) == found["two"]
    assert run.info.run_id in tj("status", "two").stdout


def test_a_runtime_gives_the_image(
    tj: Tj, cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    runtimes = RuntimeObjects(cluster.objects, cluster.namespace)
    runtimes.create("tiny", {"defaults": {"image": "fake:1"}})
    done = tj("run", "--name", "fit", "--runtime", "TrainingRuntime/tiny", "--", "true")

    assert (done.returncode, done.stderr) == (0, "")
    [child] = cluster.batch_jobs("fit")
    assert [one.image for one in child.spec.template.spec.containers] == ["fake:1"]
