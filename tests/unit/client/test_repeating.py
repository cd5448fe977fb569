from typing import Any

import pytest
from trainingjob.core import manifests, naming, repeating, snapshot
from trainingjob.core.manifests import Request
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
    job["spec"]["suspend"] = True
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
        "code.repeats": "train-1a2b",
    }
    assert config_maps == []


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
