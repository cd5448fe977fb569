"""docs/ says what the code does."""

import ast
import builtins
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import trainingjob_agent
import trainingjob_operator
import trainingjob_trainer
from prometheus_client import Metric
from trainingjob_operator.adapters.metrics import OperatorMetrics
from trainingjob_operator.api import State
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.run_status import RUN_STATUS, TERMINAL_STATES

from tests.support.documents import DOCS, documented_transitions, table_rows

OPERATOR = Path(trainingjob_operator.__file__).parent
AGENT = Path(trainingjob_agent.__file__).parent
TRAINER = Path(trainingjob_trainer.__file__).parent
REASON = re.compile(r"([A-Z][a-z]+){2,}")
# Names of classes, by which reasons.py knows the reason.
EXCEPTIONS = {name for name in vars(builtins) if name.endswith("Error")}


def calls(folder: Path, name: str) -> Iterator[ast.Call]:
    """The calls of a function or class by its name, in all modules of a folder."""
    for module in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield node


def reasons_of_the_pod() -> set[str]:
    """All texts in the code of agent and trainer that look like a reason and are used as one."""
    texts = ast.walk(ast.parse((AGENT / "causes" / "reasons.py").read_text()))
    words = [str(node.value) for node in texts if isinstance(node, ast.Constant)]
    classified = {word for word in words if REASON.fullmatch(word)} - EXCEPTIONS
    written = {
        str(keyword.value.value)
        for folder in (AGENT, TRAINER)
        for call in calls(folder, "Termination")
        for keyword in call.keywords
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant)
    }
    return classified | written


def test_each_reason_has_one_entry_with_meaning_view_and_remedy() -> None:
    entries = table_rows("troubleshooting.md", columns=4)
    assert all(cell for row in entries for cell in row)
    named = [row[0].strip("`") for row in entries if row[0].startswith("`")]
    assert sorted(named) == sorted(Reason)


def test_the_reasons_of_agent_and_trainer_are_known() -> None:
    assert "CudaOutOfMemory" in reasons_of_the_pod()
    assert reasons_of_the_pod() <= set(Reason)


def test_the_operator_gives_no_other_reasons_of_its_own() -> None:
    literals = {
        call.args[0].value
        for call in calls(OPERATOR, "Cause")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    # Ends of an attempt that are no failure.
    assert literals == {"Stopped", "Suspended"}


def test_the_table_of_run_statuses_is_that_of_the_code() -> None:
    rows = table_rows("concepts.md", columns=3)
    reported = {row[0]: row[2] for row in rows if row[0] in set(State)}
    assert reported == {str(state): str(status) for state, status in RUN_STATUS.items()}


def test_the_state_diagram_has_every_state_and_no_way_back_from_an_end() -> None:
    edges = documented_transitions()
    assert {new for _, new in edges} == set(State)
    assert not {old for old, _ in edges} & TERMINAL_STATES


def exposed() -> set[tuple[str, str, frozenset[str]]]:
    """Name, type and labels of the operator's metrics, as they are once all are used."""
    metrics = OperatorMetrics("1.2.3")
    metrics.observe_jobs(lambda: {"Running": 1})
    metrics.observe_goodput(lambda: {"lost": 1})
    metrics.observe_informer("pods", lambda: 1)
    metrics.on_restart("Evicted", charged=False)
    metrics.on_failure("Evicted")
    metrics.on_reconcile("error", 1)
    metrics.on_request("get", "pods", 200, 1)
    metrics.on_mlflow_call("runs/get", "ok", 1)
    metrics.mlflow_status_corrections.labels("FINISHED", "FAILED").inc()
    families = [one for one in metrics.registry.collect() if not one.name.startswith("process_")]
    assert all(one.samples for one in families)
    return {(full_name(one), one.type, labels(one)) for one in families}


def full_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def labels(family: Metric) -> frozenset[str]:
    return frozenset(family.samples[0].labels) - {"le"}


def test_the_table_of_the_operators_metrics_is_that_of_the_code() -> None:
    rows = table_rows("operator-metrics.md", columns=4)[1:]
    assert all(row[3] for row in rows)
    reported = [(row[0].strip("`"), row[1], frozenset(re.findall(r"\w+", row[2]))) for row in rows]
    assert len(reported) == len(exposed())
    assert set(reported) == exposed()


def test_the_health_check_of_argo_cd_knows_every_state() -> None:
    page = (DOCS / "how-to" / "argocd.md").read_text()
    [table] = re.findall(r"^local states = \{(.*?)^\}", page, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"(\w+) = ", table)) == set(State)


def test_the_version_of_mlflow_is_that_of_the_tests() -> None:
    assert f"the tests run with {version('mlflow')}." in (DOCS / "install.md").read_text()
