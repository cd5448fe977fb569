"""A Prometheus that scrapes an operator with a job, and a training of two ranks and two GPUs."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import debian
from tests.support.nvml import Driver, driver, nvml_script
from tests.support.processes import MlflowServer, OperatorProcess, Process, free_port
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_for

__all__ = ["driver", "nvml_script"]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: operator
    static_configs: [{{targets: ["127.0.0.1:{operator}"], labels: {{namespace: system}}}}]
  - job_name: training-pods
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{training}"]}}]
"""


# Of the driver that the test scripts: what GPU 0 says of its multiprocessors and tensor cores.
GPM = {
    "0:nvmlGpmQueryDeviceSupport": "1",
    "0:nvmlGpmMetricsGet/2": "55",
    "0:nvmlGpmMetricsGet/5": "40",
}


@pytest.fixture
def training(
    mlflow: MlflowServer, driver: Driver, nvml_script: Path, tmp_path: Path
) -> Iterator[int]:
    """The metrics port of a training with GPUs, checkpoints and an MLflow run."""
    for key, answer in GPM.items():
        driver.put(key, answer)
    port = free_port()
    process = Process(
        [sys.executable, "-m", "trainingjob_trainer", "run", "mnist", "--epochs", "1000"],
        {
            "TRAININGJOB_NAME": "digits",
            "TRAININGJOB_NAMESPACE": "team-a",
            "TRAININGJOB_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
            "TRAININGJOB_TERMINATION_LOG": str(tmp_path / "termination-log"),
            "TRAININGJOB_METRICS_PORT": str(port),
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "MLFLOW_RUN_ID": mlflow.create_run(),
            "PET_NPROC_PER_NODE": "2",
            "GLOO_SOCKET_IFNAME": "lo",
            "LD_LIBRARY_PATH": str(nvml_script.parent),
        },
        tmp_path / "training.log",
    )
    process.start()
    yield port
    process.end(signal.SIGTERM, seconds=120)


@pytest.fixture
def prometheus(operator: OperatorProcess, training: int, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes both each second."""
    port = free_port()
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(CONFIG.format(operator=operator.port, training=training))
    process = Process(
        [
            str(debian.unpacked("prometheus") / "usr/bin/prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        dict(os.environ),
        tmp_path / "prometheus.log",
    )
    process.start()
    found = Prometheus(port)
    try:
        wait_for("Prometheus answers", lambda: found.query("up"), 60)
        yield found
    finally:
        process.end()
