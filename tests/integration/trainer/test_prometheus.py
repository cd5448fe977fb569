"""A training of two ranks, as Prometheus itself sees it."""

import json
import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import debian
from tests.support.processes import Process, free_port
from tests.support.waiting import wait_for

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: trainers
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """The directory of Debian's promtool and prometheus."""
    return debian.unpacked("prometheus") / "usr/bin"


@pytest.fixture(scope="module")
def metrics_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a training under way."""
    port, directory = free_port(), tmp_path_factory.mktemp("training")
    training = Process(
        [sys.executable, "-m", "trainingjob_trainer", "run", "mnist", "--epochs", "1000"],
        {
            "TRAININGJOB_NAME": "digits",
            "TRAININGJOB_NAMESPACE": "team-a",
            "TRAININGJOB_CHECKPOINT_DIR": str(directory),
            "TRAININGJOB_TERMINATION_LOG": str(directory / "termination-log"),
            "TRAININGJOB_METRICS_PORT": str(port),
            "PET_NPROC_PER_NODE": "2",
            "GLOO_SOCKET_IFNAME": "lo",
        },
        directory / "log",
    )
    training.start()
    yield port
    training.end(signal.SIGTERM, seconds=120)


def test_promtool_finds_nothing_wrong(programs: Path, metrics_port: int) -> None:
    def exposition() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
                text: str = answer.read().decode()
        except OSError:
            return ""
        return text if 'phase="train",rank="1"' in text else ""

    text = wait_for("both ranks report", exposition, 300)

    checked = subprocess.run(
        [programs / "promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_scrapes_both_ranks(programs: Path, metrics_port: int, tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(port=metrics_port))
    port = free_port()
    prometheus = Process(
        [
            str(programs / "prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        dict(os.environ),
        tmp_path / "log",
    )

    def ranks() -> list[dict[str, str]]:
        query = urllib.parse.quote("trainingjob_data_wait_seconds_count > 0")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={query}") as a:
                found = json.load(a)["data"]["result"]
        except OSError:
            return []
        labels = [series["metric"] for series in found]
        return sorted(labels, key=lambda one: one["rank"]) if len(labels) == 2 else []

    prometheus.start()
    try:
        series = wait_for("Prometheus has both ranks", ranks, 300)
    finally:
        prometheus.end()
    assert series == [
        {
            "__name__": "trainingjob_data_wait_seconds_count",
            "instance": f"127.0.0.1:{metrics_port}",
            "job": "digits",
            "namespace": "team-a",
            "attempt": "0",
            "rank": rank,
        }
        for rank in ("0", "1")
    ]
