"""What scripts log under `trainingjob-exec`, in all the ways that people have, on a real server."""

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.integration.agent.asking import QUIET
from tests.integration.agent.executing import SCRIPTS, ended, script, torchrun
from tests.support.faults import Answer, FaultyServer
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


def children(client: MlflowClient, run_id: str) -> list[Run]:
    return list(client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{run_id}'"))


def test_a_parameter_that_differs_in_a_later_attempt_keeps_its_first_value(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    program = (
        "import mlflow, os\n"
        "with mlflow.start_run():\n"
        "  mlflow.log_params({'lr': 0.1, 'host': 'pod-' + os.environ['TRAININGJOB_ATTEMPT']})\n"
        "  mlflow.log_metric('loss', 1)\n"
    )
    for attempt in "123":
        code, _, errors = ended(
            trainer.execute(sys.executable, "-c", program, TRAININGJOB_ATTEMPT=attempt, **QUIET)
        )
        assert code == 0, errors
        reported = f"parameter host stays 'pod-1', its first value in this run; 'pod-{attempt}'"
        assert errors.count(reported) == (attempt != "1")

    data = mlflow_server.client.get_run(job).data
    assert data.params == {"lr": "0.1", "host": "pod-1"}
    changed = {key: value for key, value in data.tags.items() if "changed" in key}
    assert changed == {
        "trainingjob.changed_param.2.host": "pod-2",
        "trainingjob.changed_param.3.host": "pod-3",
    }


@pytest.mark.parametrize(
    ("setting", "metrics", "params", "said"),
    [
        ("", {"loss": 2}, {"batch_size": "32", "seed": "1000"}, 1),
        (
            "true",
            {"loss": 2, "rank_1/loss": 3},
            {
                "batch_size": "32",
                "seed": "1000",
                "rank_1/batch_size": "32",
                "rank_1/seed": "1001",
            },
            0,
        ),
    ],
)
def test_every_rank_logs_and_the_run_is_that_of_rank_0(
    trainer: Trainer,
    mlflow_server: MlflowServer,
    job: str,
    setting: str,
    metrics: dict[str, float],
    params: dict[str, str],
    said: int,
) -> None:
    code, _, errors = ended(
        trainer.execute(
            *torchrun(str(SCRIPTS / "every_rank_script.py")),
            TRAININGJOB_OPTION_LOG_EVERY_RANK=setting,
            **QUIET,
        )
    )

    assert code == 0, errors
    data = mlflow_server.client.get_run(job).data
    assert (data.metrics, data.params) == (metrics, params)
    assert errors.count("rank 0 alone logs to the job's run") == said


def test_the_run_is_the_jobs_again_after_its_end_and_others_carry_the_jobs_uid(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    client = mlflow_server.client
    code, output, errors = ended(
        trainer.execute(*script("search_script.py"), TRAININGJOB_UID="u-1", **QUIET)
    )

    assert code == 0, errors
    opened = dict(line.split() for line in output.splitlines())
    assert (opened["run"], opened["again"]) == (job, job)
    run = client.get_run(job)
    assert (run.info.run_name, run.data.metrics) == ("search", {"evaluated": 1})
    assert run.info.status == "SCHEDULED"
    assert "mlflow.user" not in run.data.tags, "that is of the pod"
    others = {name: client.get_run(opened[name]) for name in ("nested", "further")}
    assert len({job, opened["nested"], opened["further"]}) == 3
    for other in others.values():
        assert other.data.tags["trainingjob.opened_by"] == "u-1"
        assert other.info.status == "FINISHED"
    assert [child.info.run_id for child in children(client, job)] == [opened["nested"]]


@pytest.mark.parametrize("scheme", ["sqlite", "http"])
def test_a_tracking_server_of_the_scripts_own_choice_stands(
    trainer: Trainer, mlflow_server: MlflowServer, job: str, tmp_path: Path, scheme: str
) -> None:
    own = f"sqlite:///{tmp_path}/mine.db"
    with FaultyServer(lambda *_: Answer.error(404, "NOT_FOUND"), mlflow_server.uri) as proxy:
        uri = own if scheme == "sqlite" else f"{proxy.uri}/team"
        code, _, errors = ended(
            trainer.execute(
                sys.executable,
                "-c",
                "import mlflow\n"
                f"mlflow.set_tracking_uri({uri!r})\n"
                "mlflow.set_experiment('quickstart')\n"
                "with mlflow.start_run(run_name='quickstart'):\n"
                "  mlflow.log_metric('loss', 0.5)\n",
                **QUIET,
            )
        )

    said = f"the script logs to {uri}, as it has chosen, and not to the job's run in MLflow"
    assert errors.count(said) == 1, errors
    assert "loss" not in mlflow_server.client.get_run(job).data.metrics
    assert code == (0 if scheme == "sqlite" else 1), errors
    if scheme == "sqlite":
        client = MlflowClient(own)
        experiment = client.get_experiment_by_name("quickstart")
        assert experiment is not None
        [run] = client.search_runs([experiment.experiment_id])
        assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 0.5})


def test_the_jobs_server_by_another_name_is_the_jobs_server(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    code, _, errors = ended(
        trainer.execute(
            sys.executable,
            "-c",
            "import mlflow\n"
            f"mlflow.set_tracking_uri('http://localhost:{mlflow_server.port}')\n"
            "mlflow.log_metric('loss', 0.5)\n",
            **QUIET,
        )
    )

    assert code == 0, errors
    assert mlflow_server.client.get_run(job).data.metrics == {"loss": 0.5}


def test_an_experiment_from_the_environment_does_not_take_the_run_away(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    name = f"team of {job}"
    code, _, errors = ended(
        trainer.execute(
            sys.executable,
            "-c",
            "import mlflow\n"
            "with mlflow.start_run():\n"
            "  mlflow.log_metric('loss', 0.5)\n"
            f"  mlflow.MlflowClient().create_experiment({name!r})\n"
            "  with mlflow.start_run(run_name='fold 1', nested=True):\n"
            "    mlflow.log_metric('fold_loss', 0.4)\n",
            MLFLOW_EXPERIMENT_NAME=name,
            **QUIET,
        )
    )

    assert code == 0, errors
    [child] = children(mlflow_server.client, job)
    assert child.data.metrics == {"fold_loss": 0.4}
    assert mlflow_server.client.get_run(job).data.metrics == {"loss": 0.5}
    assert errors.count("spec.mlflow.experiment is the place for its name") == 1


def test_the_monitor_alone_writes_system_metrics_to_the_jobs_run(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    def logged(**environment: str) -> set[str]:
        code, _, errors = ended(
            trainer.execute(
                sys.executable,
                "-c",
                "import mlflow\n"
                "with mlflow.start_run():\n"
                "  mlflow.log_metrics({'system/cpu_utilization_percentage': -1, 'loss': 1})\n",
                MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
                MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING="true",
                MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL="1",
                **environment,
            )
        )
        assert code == 0, errors
        assert "Started monitoring system metrics" not in errors
        assert errors.count("MLflow's own system metrics are off for the job's run") == 1
        return set(mlflow_server.client.get_run(job).data.metrics)

    assert logged(TRAININGJOB_MONITOR_ENABLED="false") == {"loss"}
    assert "system/cpu_utilization_percentage" in logged()
    history = mlflow_server.client.get_metric_history(job, "system/cpu_utilization_percentage")
    assert all(point.value >= 0 for point in history)


def test_what_mlflow_cannot_take_is_cleaned_or_left_out_and_the_rest_arrives(
    trainer: Trainer, mlflow_server: MlflowServer, job: str
) -> None:
    code, _, errors = ended(
        trainer.execute(
            sys.executable,
            "-c",
            "import mlflow\n"
            "with mlflow.start_run() as run:\n"
            "  mlflow.log_metric('nan', float('nan'), step=1)\n"
            "  mlflow.log_metric('acc@1', 0.5, step=1)\n"
            "  mlflow.log_metric('k' * 300, 0.5, step=1)\n"
            "  mlflow.log_metric('far', 1, step=2**63)\n"
            "  mlflow.log_metric('past', 1, timestamp=-1)\n"
            "  mlflow.log_param('p/../p', 'x' * 20_000)\n"
            "  mlflow.set_tag('long', 'x' * 20_000)\n"
            "  text = mlflow.entities.Metric('text', 'x', 1, 1)\n"
            "  mlflow.MlflowClient().log_batch(run.info.run_id, [text])\n"
            "  mlflow.log_metric('last', 1, step=2)\n",
            **QUIET,
        )
    )

    assert code == 0, errors
    data = mlflow_server.client.get_run(job).data
    [long] = [key for key in data.metrics if key.startswith("kkk")]
    assert set(data.metrics) == {"nan", "acc_1", long, "last"}
    assert len(long) == 250
    assert {key: len(value) for key, value in data.params.items()} == {"p/_/p": 6_000}
    assert "MLflow cannot take far=1.0 at step 9223372036854775808" in errors
    assert "MLflow refuses" in errors, "the negative time"
