"""What the page of the run shows of the job: user, source, image, command, description."""

from typing import Any

import pytest
from trainingjob_operator.core import run_page

from tests.support.jobs import training_job as job

OF_THE_IMAGE = {
    "mlflow.source.name": "trainer:1",
    "mlflow.source.type": "JOB",
    "trainingjob.image": "trainer:1",
}
PAGES: list[Any] = [
    pytest.param({}, {}, OF_THE_IMAGE, id="entry-point-of-the-image"),
    pytest.param(
        {"command": ["python", "train.py"], "args": ["--note", "two words"]},
        {},
        {
            **OF_THE_IMAGE,
            "mlflow.source.name": "python train.py --note 'two words'",
            "trainingjob.command": "python train.py --note 'two words'",
        },
        id="command",
    ),
    pytest.param(
        {},
        {"trainingjob.dev/user": "ann", "example.com/user": "nobody"},
        {**OF_THE_IMAGE, "mlflow.user": "ann"},
        id="user-by-annotation",
    ),
    pytest.param(
        {
            "mlflow": {
                "tags": {
                    "mlflow.user": "team-vision",
                    "mlflow.note.content": "Baseline with **cosine** schedule",
                    "mlflow.source.name": "https://git.example.com/vision",
                    "mlflow.source.git.commit": "0123456",
                    "ticket": "",
                }
            }
        },
        {"trainingjob.dev/user": "ann"},
        {
            "mlflow.user": "team-vision",
            "mlflow.note.content": "Baseline with **cosine** schedule",
            "mlflow.source.name": "https://git.example.com/vision",
            "mlflow.source.type": "JOB",
            "mlflow.source.git.commit": "0123456",
            "ticket": "",
            "trainingjob.image": "trainer:1",
        },
        id="tags-of-the-user-count",
    ),
]


@pytest.mark.parametrize(("spec", "annotations", "expected"), PAGES)
def test_page_of(
    spec: dict[str, Any], annotations: dict[str, str], expected: dict[str, str]
) -> None:
    assert run_page.tags(job(spec, annotations=annotations)) == expected


def test_a_command_that_mlflow_would_not_take() -> None:
    """A value over 5000 characters, or with NUL, is refused by MLflow or by its database."""
    made = run_page.tags(job({"command": ["python", "-c", "\0" + "x" * 9000]}))
    assert len(made["trainingjob.command"]) == 5000
    assert "\0" not in made["trainingjob.command"]
