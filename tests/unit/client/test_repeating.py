import os
from typing import Any

import pytest
from trainingjob.core import manifests, naming, repeating, snapshot
from trainingjob.core.manifests import Request
from trainingjob.core.snapshot import File, Snapshot
from trainingjob.errors import UserError

from tests.unit.client.test_snapshot import FILES

CODE = snapshot.pack(FILES)
REQUEST = Request("train-1a2b", "torch:1", ("python", "train.py"), gpus=1)


def as_stored(body: dict[str, Any]) -> dict[str, Any]:
    """What the API server makes of a manifest, as far as it matters here."""
    metadata = {**body["metadata"], "uid": "u-1", "resourceVersion": "7"}
    return {**body, "metadata": metadata, "status": {"state": "Failed"}}


def test_the_same_again() -> None:
    job = as_stored(manifests.training_job(REQUEST, "source", CODE))
    job["spec"] |= {"suspend": True, "stop": True}
    code = as_stored(snapshot.config_map("train-1a2b", CODE))
    assert repeating.code_name(job) == code["metadata"]["name"]
    made, config_maps = repeating.repeated(job, code, "train-3c4d", ())

    expected = manifests.training_job(
        Request("train-3c4d", "torch:1", ("python", "train.py"), gpus=1), "source", CODE
    )
    expected["spec"]["mlflow"]["tags"]["code.repeats"] = "train-1a2b"
    assert made == expected
    assert config_maps == [snapshot.config_map("train-3c4d", CODE)]


def test_with_other_arguments() -> None:
    job = as_stored(manifests.training_job(REQUEST, "source", None))
    assert repeating.code_name(job) is None
    command = ("python", "train.py", "--lr", "$LR")
    made, config_maps = repeating.repeated(job, None, "b", command)
    assert made["spec"]["args"] == ["python", "train.py", "--lr", "$$LR"]
    assert made["spec"]["mlflow"]["tags"] == {
        "code.command": "python train.py --lr $LR",
        "mlflow.source.name": "python train.py --lr $LR",
        "code.repeats": "train-1a2b",
    }
    assert config_maps == []


LARGE = snapshot.pack([*FILES, File("weights.pt", os.urandom(2**20))])


@pytest.mark.parametrize("code", [CODE, LARGE])
def test_a_job_that_is_gone_from_what_its_run_keeps(code: Snapshot) -> None:
    """The agent keeps each file of the ConfigMap; what it does not hold was uploaded before."""
    job = manifests.training_job(REQUEST, "source", code)
    config_map = snapshot.config_map("train-1a2b", code)
    files = {"job.yaml": manifests.to_yaml([job]).encode(), "changes.diff": b"-a\n+b\n"}
    if code.fits:
        files["code.tar.gz"] = code.archive
    else:
        config_map = snapshot.placed(config_map, "f00d", "code/code.tar.gz")
        files["code.json"] = config_map["data"]["code.json"].encode()
    found = repeating.kept_code(job, files)
    assert {key: found[key] for key in found if key != "data"} == {
        key: config_map[key] for key in ("binaryData",) if key in config_map
    } | {"metadata": {"name": config_map["metadata"]["name"]}}
    assert found["data"] == {**config_map.get("data", {}), "changes.diff": "-a\n+b\n"}
    _, [made] = repeating.repeated(job, found, "train-3c4d", ())
    assert made["metadata"]["name"] == f"train-3c4d-code-{code.sha256[:12]}"


@pytest.mark.parametrize(
    ("kept", "needed"),
    [
        (["code.tar.gz", "job.yaml"], ["code.tar.gz", "job.yaml"]),
        (["code.tar.gz", "code.json", "job.yaml"], ["code.json", "job.yaml"]),
        (["changes.diff", "code.tar.gz", "other.txt"], ["changes.diff", "code.tar.gz"]),
        ([], []),
    ],
)
def test_which_files_of_a_run_are_read(kept: list[str], needed: list[str]) -> None:
    """An archive that no ConfigMap holds stays where it is."""
    found = repeating.needed(f"code/{name}" for name in kept)
    assert found == {name: f"code/{name}" for name in needed}


def test_a_run_without_its_code() -> None:
    job = manifests.training_job(REQUEST, "source", CODE)
    with pytest.raises(UserError, match=r"the run has no code/code\.tar\.gz"):
        repeating.kept_code(job, {"job.yaml": b""})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0123456789abcdef0123456789abcdef", True),
        ("train-1a2b", False),
        ("0123456789ABCDEF0123456789abcdef", False),
    ],
)
def test_which_names_are_those_of_runs(text: str, answer: bool) -> None:
    assert repeating.is_run_id(text) is answer


def test_a_job_of_other_origin_keeps_its_command() -> None:
    job = {"metadata": {"name": "mnist"}, "spec": {"image": "i", "args": ["run", "mnist"]}}
    made, _ = repeating.repeated(job, None, "b", ())
    assert made["spec"] == {
        "image": "i",
        "args": ["run", "mnist"],
        "mlflow": {"tags": {"code.repeats": "mnist"}},
    }
    with pytest.raises(UserError, match="mnist was not started by tj run with a command"):
        repeating.repeated(job, None, "b", ("true",))


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("train-1a2b", "train-ffff"),
        ("mnist", "mnist-ffff"),
        ("mnist-two-nodes", "mnist-two-nodes-ffff"),
        ("x" * 50, f"{'x' * 45}-ffff"),
    ],
)
def test_the_name_of_the_next(name: str, new: str) -> None:
    assert naming.again(name, "ffff") == new
