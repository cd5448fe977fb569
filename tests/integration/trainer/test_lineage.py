"""The run shows which data a training has read."""

from pathlib import Path

import mlflow.data
import pytest
from trainingjob_trainer.lineage import input_of, log_datasets
from trainingjob_trainer.task import DatasetVersion, load_task

from tests.support.processes import MlflowServer

DIGITS = DatasetVersion("digits", "0123456789abcdef", "s3://bucket/digits.parquet")


def test_a_data_set_is_one_input_however_many_attempts_there_are(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    held_out = DatasetVersion("digits", "fedcba9876543210", "/data/held-out", "validation")
    for _ in range(2):
        log_datasets(mlflow_server.client, run_id, [DIGITS, held_out])

    inputs = mlflow_server.client.get_run(run_id).inputs
    assert inputs is not None
    found = [
        (one.dataset.name, one.dataset.digest, [(tag.key, tag.value) for tag in one.tags])
        for one in inputs.dataset_inputs
    ]
    assert sorted(found) == [
        ("digits", "0123456789abcdef", [("mlflow.data.context", "training")]),
        ("digits", "fedcba9876543210", [("mlflow.data.context", "validation")]),
    ]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/data/digits.csv", "local"),
        ("https://example.org/digits.csv", "http"),
        ("s3://bucket/digits.parquet", "s3"),
    ],
)
def test_mlflow_knows_where_it_is(source: str, kind: str) -> None:
    dataset = input_of(DatasetVersion("digits", "0", source)).dataset

    found = mlflow.data.get_source(dataset)

    assert found._get_source_type() == dataset.source_type == kind
    assert source in found.to_dict().values()


def test_the_digest_of_a_file_follows_its_content(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("1,2")
    before = DatasetVersion.of_file("table", file)

    file.write_text("1,3")

    assert before == DatasetVersion("table", "17f8af97ad4a7f76", str(file), "training")
    assert DatasetVersion.of_file("table", file).digest != before.digest


@pytest.mark.parametrize("task", ["mnist", "mnist-denoise", "text", "wine"])
def test_the_built_in_tasks_name_theirs(task: str) -> None:
    [dataset] = load_task(task).datasets()

    assert Path(dataset.source).is_file()
