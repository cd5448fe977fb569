"""The trainer's own output as an artifact of its run."""

import subprocess
import sys
from pathlib import Path

from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


def test_what_the_trainer_prints_is_in_the_run_and_in_the_pods_log(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    secret = "not-for-all-eyes-4711"

    code, output = trainer.run(
        "printing_task:PrintingTask", DATA_API_KEY=secret, TRAININGJOB_ATTEMPT="2"
    )

    assert code == 1, output
    for line in (f"the key is {secret}", "in a forked process", "past Python"):
        assert f"{line}\n" in output
    path = mlflow_server.client.download_artifacts(job, "logs/attempt-2/node-0.txt", str(tmp_path))
    kept = Path(path).read_text()
    assert "INFO task printing on cpu" in kept
    assert "the key is [masked]" in kept
    assert "\nits end\n" in kept
    assert "ERROR training failed\nTraceback (most recent call last):\n" in kept
    assert "ValueError: label 11 is out of range" in kept
    for absent in (secret, "in a forked process", "past Python", "a progress bar"):
        assert absent not in kept


def test_of_several_ranks_the_run_has_what_all_of_them_print(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path
) -> None:
    code, output = trainer.run(
        "failing_task:FailingTask", PET_NPROC_PER_NODE="2", DATA_API_KEY="not-for-all-eyes-4711"
    )

    assert code == 1, output
    path = mlflow_server.client.download_artifacts(job, "logs/attempt-0/node-0.txt", str(tmp_path))
    kept = Path(path).read_text()
    for line in (
        "[rank 0] task failing on cpu",
        "[rank 1] task failing on cpu",
        "[rank 1] training failed",
        "ValueError: label 11 is out of range",
        "rank 1 failed first: it ended with code 1",
    ):
        assert line in kept
        assert line in output


def test_without_a_run_the_streams_stay_as_they_are() -> None:
    probe = (
        "import sys; from trainingjob_agent.contract import Contract; "
        "from trainingjob_trainer.printed import keep_printed; stdout = sys.stdout; "
        "assert keep_printed(Contract()) is None; assert sys.stdout is stdout; "
        "tracked = dict(tracking_uri='http://a', run_id='f00d'); "
        "assert keep_printed(Contract(**tracked, local_rank=1)) is None; "
        "assert keep_printed(Contract(**tracked)); print('kept', sys.stdout.fileno())"
    )

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("kept 1\n", "")
