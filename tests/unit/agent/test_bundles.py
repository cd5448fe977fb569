"""Calls that wait for MLflow: whole, in order, with the ids that the server gave."""

from pathlib import Path

import pytest
from trainingjob_agent.delivery.bundles import CREATE_RUN, Bundle, Bundles, Call, place_of

CREATE = Call("POST", "/api/2.0/mlflow/logged-models", {"name": "net"})
FINALIZE = Call("PATCH", "/api/2.0/mlflow/logged-models/m-kept-1", {"status": "READY"})
INPUTS = Call("POST", "/api/2.0/mlflow/runs/log-inputs", {"run_id": "r-1"})


def names(bundles: Bundles, *, ended: bool = False) -> list[str]:
    return [bundle.name for bundle in bundles.take(ended=ended)]


def test_what_is_not_complete_waits_for_the_end_of_the_script(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "bundles")
    assert names(bundles) == []

    bundles.open("m-kept-1").add_call(CREATE)
    bundles.open("m-kept-2").add_call(CREATE)
    assert names(bundles) == []
    bundles.open("m-kept-1").complete()
    assert names(bundles) == ["m-kept-1"]
    assert [bundles.is_open(name) for name in ("m-kept-1", "m-kept-2", "m-3")] == [
        False,
        True,
        False,
    ]
    assert names(bundles, ended=True) == ["m-kept-2"]
    assert names(bundles, ended=True) == []


def test_people_know_a_bundle_by_what_is_in_it(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    for name, call in (("m-kept-1", CREATE), ("m-7", FINALIZE)):
        bundles.open(name).add_call(call)
    bundles.put(INPUTS)
    bundles.append(Call(*CREATE_RUN, {"run_name": "trial"}))
    (tmp_path / "words.txt").write_text("words")
    bundles.put_file("r-2", tmp_path / "words.txt", "notes")
    (tmp_path / "words.txt").unlink()

    assert {bundle.description for bundle in bundles.take(ended=True)} == {
        "the model net",
        "the model m-7",
        "a call of runs/log-inputs",
        "calls about further runs",
        "a file of the run r-2",
    }


def test_the_ids_and_places_of_the_server_replace_those_that_stood_for_them(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path)
    bundles.note("m-kept-1", "m-7", "s3://models/m-7")

    text = f"{FINALIZE.endpoint} {place_of('m-kept-1')}/MLmodel m-kept-2"
    assert bundles.with_ids(text) == (
        "/api/2.0/mlflow/logged-models/m-7 s3://models/m-7/MLmodel m-kept-2"
    )


def test_a_file_that_cannot_be_copied_leaves_no_half(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "m-kept-1")
    with pytest.raises(OSError, match="no-such-file"):
        bundle.add_file(tmp_path / "no-such-file", "data")
    assert [file for file in bundle.files.rglob("*") if file.is_file()] == []
