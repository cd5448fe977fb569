from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from trainingjob.core import manifests, naming, repeating, snapshot
from trainingjob.core.manifests import Request
from trainingjob.errors import UserError
from trainingjob_operator.core.contract import API_VERSION

from tests.unit.client.test_snapshot import FILES

PREAMBLE = "import sys\nprint(sys.argv)\n"
CODE = snapshot.pack(FILES)


def test_the_least() -> None:
    request = Request("train-1", "torch:1", ("python", "train.py"))
    assert manifests.training_job(request, PREAMBLE, None) == {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "train-1"},
        "spec": {
            "image": "torch:1",
            "command": ["python3", "-c", PREAMBLE, '{"directory": "/trainingjob/workdir"}'],
            "args": ["python", "train.py"],
            "mlflow": {
                "tags": {
                    "code.command": "python train.py",
                    "mlflow.source.name": "python train.py",
                }
            },
        },
    }


def test_everything() -> None:
    request = Request(
        name="train-1",
        image="torch:1",
        command=("sh", "-c", "echo $HOME $(date) $$"),
        nodes=2,
        gpus=8,
        cpu="4",
        memory="16Gi",
        queue="gpus",
        experiment="mnist",
        env=(("A", "1"), ("B", "$(A)")),
        packages=("rich>=13",),
        runtime="TrainingRuntime/nvidia",
    )
    name = f"train-1-code-{CODE.sha256[:12]}"
    assert manifests.training_job(request, PREAMBLE, CODE) == {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "train-1"},
        "spec": {
            "runtimeRef": {"kind": "TrainingRuntime", "name": "nvidia"},
            "image": "torch:1",
            "command": [
                "python3",
                "-c",
                PREAMBLE,
                (
                    '{"directory": "/trainingjob/workdir", "code": "/trainingjob/code", '
                    f'"sha256": "{CODE.sha256}", "packages": ["rich>=13"], '
                    '"environment": "/trainingjob/packages"}'
                ),
            ],
            # Kubernetes makes $ of $$ and expands $(NAME): the shell gets what was written.
            "args": ["sh", "-c", "echo $$HOME $$(date) $$$$"],
            "numNodes": 2,
            "queueName": "gpus",
            "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8, "cpu": "4", "memory": "16Gi"}},
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$$(A)"}],
            "volumes": [
                {"name": "trainingjob-code", "configMap": {"name": name}},
                {"name": "trainingjob-workdir", "emptyDir": {}},
                {"name": "trainingjob-packages", "emptyDir": {}},
            ],
            "volumeMounts": [
                {"name": "trainingjob-code", "mountPath": "/trainingjob/code", "readOnly": True},
                {"name": "trainingjob-workdir", "mountPath": "/trainingjob/workdir"},
                {"name": "trainingjob-packages", "mountPath": "/trainingjob/packages"},
            ],
            "mlflow": {
                "experiment": "mnist",
                "tags": {
                    "code.sha256": CODE.sha256,
                    "code.command": "sh -c echo $HOME $(date) $$",
                    "mlflow.source.name": "sh -c echo $HOME $(date) $$",
                },
            },
        },
    }


def test_what_a_dry_run_prints_can_be_run() -> None:
    request = Request("train-1", "torch:1", ("python", "train.py"))
    job = manifests.training_job(request, PREAMBLE, CODE)
    code = snapshot.config_map("train-1", CODE)
    printed = manifests.to_yaml([code, job])
    assert manifests.from_yaml(printed, "job.yaml") == (job, [code])
    assert "  - |\n    import sys\n    print(sys.argv)\n" in printed


@given(st.text(max_size=60))
def test_any_text_survives_yaml(text: str) -> None:
    assert yaml.safe_load(manifests.to_yaml([{"text": text}])) == {"text": text}


JOB = f"apiVersion: {API_VERSION}\nkind: TrainingJob\nmetadata: {{name: one}}\nspec: {{}}\n"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\ndata: {}\n"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "job.yaml has 0 TrainingJobs in it", "tj run takes one at a time"),
        (f"{JOB}---\n{JOB}", "job.yaml has 2 TrainingJobs in it", "kubectl apply takes any number"),
        (f"{JOB}---\n[1]", "job.yaml has something that is no object of Kubernetes in it", ""),
        (
            f"{JOB}---\nkind: Secret\napiVersion: v1",
            "job.yaml has Secret (v1) in it",
            "apply anything else with kubectl",
        ),
        (
            JOB.replace("v1alpha1", "v9"),
            "job.yaml has TrainingJob (trainingjob.dev/v9) in it",
            "tj takes one TrainingJob of trainingjob.dev/v1alpha1",
        ),
        (JOB.replace("name: one", ""), "job.yaml has no metadata.name", "a name"),
        (JOB.replace("spec: {}", ""), "job.yaml has no spec", "kubectl explain trainingjob.spec"),
        (JOB.replace("spec: {}", "spec: []"), "job.yaml has no spec", "has its fields"),
        (
            f"{JOB}---\n{CONFIG_MAP.replace('name: code', '')}",
            "job.yaml has a ConfigMap without metadata.name",
            "give it a name",
        ),
        (
            f"{JOB}---\n{CONFIG_MAP.replace('{}', '[1]')}",
            "job.yaml has a ConfigMap whose data is no map",
            "write it as names and values",
        ),
        (
            "a: [",
            ("job.yaml is not YAML: while parsing a flow node expected the node content, but found "
            "'<stream end>' in \"<unicode string>\", line 1, column 5: a: [ ^"),
            "correct it",
        ),
    ],
)  # fmt: skip
def test_what_a_file_must_not_have(text: str, message: str, remedy: str) -> None:
    with pytest.raises(UserError) as refused:
        manifests.from_yaml(text, "job.yaml")
    assert refused.value.message == message
    assert remedy in refused.value.remedy


FOREIGN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "configMap", "metadata", "data", "spec"]), inner)
    ),
    max_leaves=6,
)


@given(FOREIGN, FOREIGN, FOREIGN)
def test_any_file_is_read_or_refused(spec: Any, volume: Any, config_map: Any) -> None:
    """What it has beyond a name and a spec, the API server looks at."""
    written = yaml.safe_load(JOB) | {"spec": {"volumes": [volume], "more": spec}}
    code = yaml.safe_load(CONFIG_MAP) | {"metadata": config_map, "data": spec}
    try:
        job, config_maps = manifests.from_yaml(yaml.safe_dump_all([written, code]), "job.yaml")
    except UserError:
        return
    assert isinstance(repeating.code_name(job), str | None)
    assert snapshot.with_job(config_maps[0], "job")["data"]["job.yaml"] == "job"


def test_variables() -> None:
    assert manifests.variable("A=b=c") == ("A", "b=c")
    for wrong in ("A", "=1"):
        with pytest.raises(UserError, match="write --env NAME=VALUE"):
            manifests.variable(wrong)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py --lr 1", "train-ab12"),
        ("torchrun --nproc-per-node 2 src/Fine_Tune.py", "fine-tune-ab12"),
        ("python -m team.models.train", "team-models-train-ab12"),
        ("accelerate launch train.py", "train-ab12"),
        ("bash -c true", "bash-ab12"),
        ("/usr/bin/env python3", "env-ab12"),
        ("python 3d.py", "job-3d-ab12"),
        ("python ___.py", "job-ab12"),
        (f"python {'x' * 80}.py", f"{'x' * 45}-ab12"),
    ],
)
def test_a_job_is_named_after_what_it_runs(command: str, name: str) -> None:
    assert naming.of_command(command.split(), "ab12") == name
    assert naming.checked(name) == name


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4))
def test_any_command_has_a_name_that_the_api_server_takes(command: list[str]) -> None:
    name = naming.of_command(command, "ab12")
    assert naming.checked(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "a-", "a.b", "a" * 51])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="only a-z, 0-9 and '-'"):
        naming.checked(name)
