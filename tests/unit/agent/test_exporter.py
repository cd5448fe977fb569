import logging
import os
import socket
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter import Exporter, JobLabels, ScriptMetrics, TrainingMetrics
from trainingjob_agent.monitor import Reading, SystemSample
from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.gpu import quantities as gpu
from trainingjob_trainer.samples import sample_errors

from tests.support.processes import free_port

CONTRACT = Contract(name="digits", namespace="team-a", attempt=2, rank=1)
JOB = {"job": "digits", "namespace": "team-a", "attempt": "2", "rank": "1"}
SAMPLE = SystemSample(
    timestamp_milliseconds=1,
    readings=(
        Reading(q.CPU_USAGE, 0.75),
        Reading(q.CPU_THROTTLED_SECONDS, 12.5),
        Reading(q.CPU_THROTTLED, 0.25),
        Reading(q.PROCESS_THREADS, 8, ("1",)),
        Reading(q.PROCESS_THREADS, 9, ("2",)),
        Reading(gpu.UTILIZATION, 0.5, ("0",)),
        Reading(gpu.UTILIZATION, 0.25, ("1",)),
        Reading(gpu.PCIE_RECEIVE, 2e6, ("0",), fresh=False),
        Reading(gpu.XID_ERRORS, 2, ("0", "94")),
    ),
)


def scrape(port: int) -> dict[tuple[str, str], tuple[dict[str, str], float]]:
    """Samples by name and by the label that is not the job's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = ",".join(v for k, v in sample.labels.items() if k not in JOB)
            found[sample.name, own] = (
                {k: v for k, v in sample.labels.items() if k in JOB},
                sample.value,
            )
    return found


def test_a_scrape_shows_training_and_node_with_the_labels_of_the_job() -> None:
    port = free_port()
    metrics, errors = TrainingMetrics(), Counter("trainingjob_sample_errors", "…", registry=None)
    exporter = Exporter(replace(CONTRACT, metrics_port=port), [metrics.registry, errors])
    exporter.start()
    metrics.steps.inc(30)
    metrics.epoch.set(2)
    metrics.loss.labels("train").set(0.25)
    metrics.step_duration.observe(0.02)
    metrics.data_wait.observe(0.01)
    metrics.observe_system(SAMPLE)

    found = scrape(port)
    exporter.stop()

    expected = {
        ("trainingjob_steps_total", ""): 30,
        ("trainingjob_epoch", ""): 2,
        ("trainingjob_loss", "train"): 0.25,
        ("trainingjob_step_duration_seconds_count", ""): 1,
        ("trainingjob_data_wait_seconds_sum", ""): 0.01,
        ("trainingjob_cpu_usage_cores", ""): 0.75,
        ("trainingjob_cpu_throttled_seconds_total", ""): 12.5,
        ("trainingjob_gpu_utilization_ratio", "0"): 0.5,
        ("trainingjob_gpu_utilization_ratio", "1"): 0.25,
        ("trainingjob_gpu_pcie_receive_bytes_per_second", "0"): 2e6,
        ("trainingjob_gpu_xid_errors_total", "0,94"): 2,
        ("trainingjob_sample_errors_total", ""): 0,
    }
    assert {key: found[key] for key in expected} == {k: (JOB, v) for k, v in expected.items()}


def contract_of(local_rank: int, port: int) -> Contract:
    return Contract(
        name="digits",
        namespace="team-a",
        attempt=2,
        rank=4 + local_rank,
        local_rank=local_rank,
        world_size=6,
        local_world_size=2,
        metrics_port=port,
    )


def text_of(port: int, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def two_ranks() -> Iterator[tuple[int, list[Exporter]]]:
    """The ranks 4 and 5 of a job, on the second of its nodes, after 3 and 2 steps."""
    port, exporters = free_port(), []
    for local_rank, steps in enumerate((3, 2)):
        metrics = TrainingMetrics()
        metrics.steps.inc(steps)
        exporters.append(Exporter(contract_of(local_rank, port), [metrics.registry]))
        exporters[-1].start()
    yield port, exporters
    for exporter in exporters:
        exporter.stop()


def steps_by_rank(text: str) -> dict[str, float]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    samples = [s for family in families for s in family.samples]
    assert all(s.labels.keys() >= JOB.keys() for s in samples)
    return {s.labels["rank"]: s.value for s in samples if s.name == "trainingjob_steps_total"}


def test_one_port_has_the_metrics_of_all_ranks(two_ranks: tuple[int, list[Exporter]]) -> None:
    port, exporters = two_ranks

    text = text_of(port)
    exporters[1].stop()
    without = text_of(port)

    assert steps_by_rank(text) == {"4": 3, "5": 2}
    assert text.count("# HELP trainingjob_steps_total ") == 1
    assert steps_by_rank(without) == {"4": 3}


def test_a_rank_that_does_not_answer_is_left_out(two_ranks: tuple[int, list[Exporter]]) -> None:
    port, exporters = two_ranks
    exporters[1].stop()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"\0trainingjob-trainer-{os.getppid()}-1")
        silent.listen()

        assert steps_by_rank(text_of(port)) == {"4": 3}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_scrape_comes_by_ipv4_or_by_ipv6(
    two_ranks: tuple[int, list[Exporter]], host: str
) -> None:
    port, _ = two_ranks

    assert steps_by_rank(text_of(port, host)) == {"4": 3, "5": 2}


def test_without_ipv6_there_is_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)  # as with `ipv6.disable=1`
    metrics, port = TrainingMetrics(), free_port()
    exporter = Exporter(replace(CONTRACT, metrics_port=port), [metrics.registry])
    exporter.start()

    assert steps_by_rank(text_of(port)) == {"1": 0}

    exporter.stop()


def test_a_port_in_use_is_logged_and_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 - the exporter itself listens on all addresses
        other.listen()
        port = other.getsockname()[1]
        exporter = Exporter(replace(CONTRACT, metrics_port=port), [])
        with caplog.at_level(logging.WARNING):
            exporter.start()
            exporter.stop()

    assert caplog.messages == [
        f"no Prometheus metrics on port {port}: [Errno 98] Address already in use"
    ]


def exposition(readings: Iterable[Reading]) -> str:
    metrics = TrainingMetrics()
    metrics.step_duration.observe(0.02)
    metrics.loss.labels("train").set(0.25)
    metrics.observe_system(SystemSample(1, tuple(readings)))
    labels = JobLabels(JOB, [metrics.registry, sample_errors])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(labels)
    return generate_latest(registry).decode()


def test_a_process_has_the_label_of_its_own_rank() -> None:
    text = exposition(SAMPLE.readings)
    threads = next(
        family
        for family in text_string_to_metric_families(text)
        if family.name == "trainingjob_process_threads"
    )

    assert [(s.labels, s.value) for s in threads.samples] == [
        ({**JOB, "rank": "1"}, 8),
        ({**JOB, "rank": "2"}, 9),
    ]


def test_what_the_last_sample_lacks_is_not_shown() -> None:
    metrics = TrainingMetrics()
    metrics.observe_system(SAMPLE)
    metrics.observe_system(replace(SAMPLE, readings=SAMPLE.readings[:1]))

    text = generate_latest(metrics.registry).decode()

    assert "trainingjob_cpu_usage_cores 0.75" in text
    assert "trainingjob_gpu" not in text


def test_what_a_script_logs_is_served_and_its_metrics_are_bounded() -> None:
    metrics = ScriptMetrics()
    assert list(metrics.collect()) == [], "a script that logs nothing has none"

    metrics.show("train/loss", 0.5, 10)
    for key, value in (("step", 12), ("percentage", 25.0), ("epoch", 2)):
        metrics.show(f"progress/{key}", value, 1_767_225_600_000)  # their step is their time
    metrics.show("system/rank_0_torch_reserved_megabytes", 4000.0, 1_767_225_600_000)
    for layer in range(300):
        metrics.show(f"layer/{layer}", 1.0, 3)
    metrics.show("train/loss", 0.25, 11)

    samples = [sample for family in metrics.collect() for sample in family.samples]
    reported = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert (
        reported.items()
        >= {
            ("trainingjob_step",): 12,
            ("trainingjob_progress_ratio",): 0.25,
            ("trainingjob_epoch",): 2,
            ("trainingjob_script_metric", "train/loss"): 0.25,
        }.items()
    )
    assert len(reported) == 3 + 200


def test_the_page_of_the_monitor_lists_the_metrics_of_a_script() -> None:
    page = (Path(__file__).parents[3] / "docs" / "trainer" / "monitor.md").read_text()
    metrics = ScriptMetrics()
    for key in ("train/loss", "progress/percentage", "progress/epoch"):
        metrics.show(key, 25.0, 10)

    rows = [
        f"| `{f.name}{'{metric}' * (f.name.endswith('_metric'))}` | {f.type} | {f.documentation} |"
        for f in metrics.collect()
    ]

    assert [row for row in rows if row not in page] == []
