"""All metrics keep Prometheus' rules of names, and the page of the monitor lists them."""

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.spool import Spool
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_agent.monitor import Kind, Quantity, Reading
from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.gpu import quantities as gpu
from trainingjob_trainer.checkpoint import checkpoint_duration, checkpoint_errors
from trainingjob_trainer.samples import sample_errors

from tests.unit.agent.test_exporter import CONTRACT, JOB, exposition


def declared_quantities() -> list[Quantity]:
    """All that a node or a GPU can tell."""
    return [v for module in (q, gpu) for v in vars(module).values() if isinstance(v, Quantity)]


NOT_A_BASE_UNIT = re.compile(
    r"(^|_)((nano|micro|milli|centi|kilo|mega|giga|tera|kibi|mebi|gibi)\w+"
    r"|minutes|hours|days|bits|percent|percentage|fahrenheit|kelvins?"
    r"|s|ms|us|ns|sec|b|kb|mb|gb|tb|m|h|d)(_|$)"
)


def lint(family: Metric) -> list[str]:
    """The rules of `promtool check metrics`, and that a ratio is no percentage."""
    names = {sample.name for sample in family.samples}
    labels = {label for sample in family.samples for label in sample.labels}
    histogram = family.type == "histogram"
    rules = {
        "no help": bool(family.documentation),
        "no base unit": not NOT_A_BASE_UNIT.search(family.name),
        "type in the name": not re.search(r"gauge|counter|histogram|summary", family.name),
        "no snake case": all(re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in names | labels),
        "_total": family.type != "counter" or all(n.endswith("_total") for n in names),
        "_total of no counter": family.type == "counter" or not family.name.endswith("_total"),
        "reserved suffix": histogram or not family.name.endswith(("_count", "_sum", "_bucket")),
        "reserved label": histogram or not labels & {"le", "quantile"},
        "no label of the job": all(s.labels.keys() >= JOB.keys() for s in family.samples),
    }
    return [f"{family.name}: {rule}" for rule, kept in rules.items() if not kept]


def test_all_metrics_keep_the_rules_of_promtool() -> None:
    text = exposition(Reading(one, 1.0, ("0",) * len(one.labels)) for one in declared_quantities())

    families = list(text_string_to_metric_families(text))

    assert [problem for family in families for problem in lint(family)] == []
    names = {family.name for family in families}
    assert {one.prometheus for one in declared_quantities() if one.prometheus} <= names
    assert len(names) == len(families)


def test_the_page_of_the_monitor_lists_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs" / "trainer" / "monitor.md").read_text()

    assert [row for one in declared_quantities() if (row := table_row(one)) not in page] == []


def test_the_page_of_the_monitor_lists_the_metrics_of_the_training(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "trainer" / "monitor.md").read_text()
    contract = replace(
        CONTRACT, tracking_uri="http://127.0.0.1:9", run_id="r", checkpoint_dir=tmp_path
    )
    sender = Sender(RunConnection(contract), Spool.of(contract))
    parts = [sample_errors, checkpoint_errors, checkpoint_duration, *sender.collectors]
    families = [f for part in [TrainingMetrics().registry, *parts] for f in part.collect()]

    rows = [
        f"| `{f.name}{'_total' * (f.type == 'counter')}{'{phase}' * (f.name.endswith('_loss'))}` "
        f"| {f.type} | {f.documentation} |"
        for f in families
    ]

    assert [row for row in rows if row not in page] == []


def table_row(one: Quantity) -> str:
    """A row of the tables in docs/trainer/monitor.md."""
    name = one.prometheus + ("_total" if one.kind is Kind.COUNTER else "")
    labels = "{" + ", ".join(one.labels) + "}" if one.labels else ""
    prometheus = f"`{name}{labels}`" if one.prometheus else ""
    placeholders = [f"<{label}>" for label in one.labels]
    mlflow = f"`system/{one.mlflow.format(*placeholders)}`" if one.mlflow else ""
    level = "on change" if one.steady else "basic" if one.basic else "full"
    return f"| {mlflow} | {prometheus} | {level if mlflow else ''} | {one.help} |"
