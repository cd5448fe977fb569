"""How far the training of a script is: by itself with Lightning and Transformers, or by a call."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trainingjob_agent
from trainingjob_agent.supervisor.progress import Progress

from tests.integration.agent.executing import ended, script, torchrun
from tests.support.frameworks import FRAMEWORKS
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "TRAININGJOB_MONITOR_ENABLED": "false"}
HOOK = Path(trainingjob_agent.__file__).parent / "supervisor" / "hook"


@dataclass
class Logged:
    """What a training logs, by the time of the test's clock."""

    seconds: float = 0.0
    lines: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    def progress(self) -> Progress:
        return Progress(lambda told: self.lines.append((self.seconds, told)), lambda: self.seconds)


def told(
    step: float,
    percentage: float | None = None,
    remaining: float | None = None,
    epoch: float | None = None,
) -> dict[str, float]:
    named = {
        "progress/step": step,
        "progress/epoch": epoch,
        "progress/percentage": percentage,
        "progress/estimated_remaining_seconds": remaining,
    }
    return {key: value for key, value in named.items() if value is not None}


def test_the_first_and_the_last_step_are_logged_and_one_every_five_seconds() -> None:
    logged = Logged()
    progress = logged.progress()
    for step in range(1, 11):
        logged.seconds = 2.0 * step
        progress.report(step, step / 10, epoch=1 + step // 6)

    assert logged.lines == [
        (2, told(1, 10, epoch=1)),
        (8, told(4, 40, 12, epoch=1)),
        (14, told(7, 70, 6, epoch=2)),
        (20, told(10, 100, 0, epoch=2)),
    ]


def test_a_resumed_training_takes_its_pace_from_where_it_began() -> None:
    logged = Logged()
    progress = logged.progress()
    for logged.seconds, step in ((0.0, 500), (10.0, 600)):
        progress.report(step, step / 1000)

    assert logged.lines == [(0, told(500, 50)), (10, told(600, 60, 40))]


def test_without_a_total_there_is_a_step_alone() -> None:
    logged = Logged()
    logged.progress().report(3)

    assert logged.lines == [(0, told(3))]


def test_a_training_that_ends_early_is_complete_and_the_next_one_begins_anew() -> None:
    logged = Logged()
    progress = logged.progress()
    progress.report(1, 0.01)
    logged.seconds = 1.0
    progress.end(2)
    progress.report(3, 1.5)
    progress.report(1, 0.5)

    assert logged.lines == [
        (0, told(1, 1)),
        (1, told(2, 100, 0)),
        (1, told(1, 50)),
    ]


def test_a_validation_says_that_the_training_goes_on() -> None:
    logged = Logged()
    progress = logged.progress()
    progress.go_on()
    progress.report(1, 0.5)
    for logged.seconds in (4.0, 8.0, 10.0):
        progress.go_on()

    assert logged.lines == [(0, told(1, 50)), (8, told(1))]


def progress_of(server: MlflowServer, run_id: str) -> dict[str, float]:
    metrics = server.client.get_run(run_id).data.metrics
    return {key: value for key, value in metrics.items() if key.startswith("progress/")}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(script("transformers_script.py"), told(4, 100, 0, epoch=1), id="transformers"),
        pytest.param(
            [*script("transformers_script.py"), "--quiet", "--evaluate"],
            told(4, 100, 0, epoch=1),
            id="transformers-without-mlflow",
        ),
        pytest.param(script("lightning_script.py"), told(4, 100, 0, epoch=1), id="lightning"),
        pytest.param(
            [*script("quiet_lightning_script.py"), "lightning"],
            told(6, 100, 0, epoch=3),
            id="lightning-without-mlflow",
        ),
        pytest.param(
            [*script("quiet_lightning_script.py"), "pytorch_lightning"],
            told(6, 100, 0, epoch=3),
            id="pytorch-lightning",
        ),
    ],
)
def test_frameworks_report_without_a_line_of_code(
    trainer: Trainer,
    mlflow_server: MlflowServer,
    job: str,
    command: list[str],
    expected: dict[str, float],
) -> None:
    process = trainer.execute(*command, PYTHONPATH=str(FRAMEWORKS), **QUIET)
    code, _, errors = ended(process)

    assert code == 0, errors
    assert progress_of(mlflow_server, job).keys() == expected.keys()
    # All epochs may be over within the five seconds from one point to the next.
    epoch = expected.pop("progress/epoch")
    seen = progress_of(mlflow_server, job)
    assert 1 <= seen.pop("progress/epoch") <= epoch
    assert seen == expected


CALLS = """
import os
from trainingjob_agent import report_progress

for step in range(1, int(os.environ["STEPS"]) + 1):
    report_progress(step, total=10, epoch=1)
"""


def test_a_call_reports_and_the_latest_attempt_counts(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    for attempt, steps in (("1", "10"), ("2", "3")):
        environment = {"TRAININGJOB_ATTEMPT": attempt, "STEPS": steps}
        process = trainer.execute(sys.executable, "-c", CALLS, **environment, **QUIET)
        code, _, errors = ended(process)
        assert code == 0, errors

    # The pace of the second attempt is not known yet.
    assert progress_of(mlflow_server, job) == told(1, 10, 0, epoch=1)


def test_rank_0_alone_reports_without_a_word_about_the_others(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    file = tmp_path / "train.py"
    file.write_text(CALLS)
    process = trainer.execute(*torchrun(str(file)), STEPS="10", **QUIET)
    code, _, errors = ended(process)

    assert code == 0, errors
    assert "rank 0 alone" not in errors
    history = mlflow_server.client.get_metric_history(job, "progress/step")
    assert [point.value for point in history] == [1, 10]


def test_a_call_does_nothing_where_nobody_is_beside_the_script() -> None:
    environment = {"STEPS": "10"}
    answer = subprocess.run(
        [sys.executable, "-c", CALLS], env=environment, capture_output=True, text=True
    )

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.parametrize("package", ["lightning", "pytorch_lightning"])
def test_a_trainer_of_lightning_works_in_a_python_without_our_package(package: str) -> None:
    """As its entry point is called there: `trainingjob_lightning` is found beside the hook."""
    program = (
        "import sys; sys.modules['trainingjob_agent'] = None\n"
        f"import trainingjob_lightning; print(trainingjob_lightning.of_{package}())"
    )
    environment = {"PYTHONPATH": str(HOOK)}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )

    assert (answer.returncode, answer.stdout) == (0, "[]\n"), answer.stderr
    assert "the progress of Lightning is not known" in answer.stderr


def test_a_release_of_lightning_that_we_do_not_know_trains_on(trainer: Trainer, job: str) -> None:
    program = (
        "from trainingjob_agent.supervisor.frameworks.fit import FitProgress\n"
        "for batch in range(3): FitProgress().on_train_batch_end(object())\n"
    )
    code, _, errors = ended(trainer.execute(sys.executable, "-c", program, **QUIET))

    assert code == 0, errors
    assert errors.count("the progress of Lightning is not known") == 1


def test_a_release_of_transformers_that_we_do_not_know_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers" / "__init__.py").touch()
    (tmp_path / "transformers" / "trainer.py").write_text("KNOWN = True\n")
    answer = subprocess.run(
        [sys.executable, "-c", "from transformers.trainer import KNOWN; print(KNOWN)"],
        env={"PYTHONPATH": f"{HOOK}:{tmp_path}", "TRAININGJOB_SCRIPT_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert (answer.returncode, answer.stdout) == (0, "True\n"), answer.stderr
    assert "the progress of Transformers is not known" in answer.stderr
