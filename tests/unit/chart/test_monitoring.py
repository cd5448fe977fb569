"""The alerts and dashboards of the chart: one source, metrics that exist, objects that load."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import DOCS, table_rows

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]

NAME = "trainingjob-operator"
UIDS = ("trainingjob-operator", "trainingjob-pods")
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def documented() -> set[str]:
    """The metrics in the tables of both pages, which other tests hold to the code."""
    cells = [row[0] for row in table_rows("operator-metrics.md", columns=4)]
    cells += [row[1] for row in table_rows("trainer/monitor.md", columns=4)]
    cells += [row[0] for row in table_rows("trainer/monitor.md", columns=3)]
    cells += [row[0] for row in table_rows("trainer/monitor.md", columns=2)]
    return {name for cell in cells for name in re.findall(r"trainingjob_\w+", cell)}


def dashboards(chart: Path) -> Iterator[dict[str, Any]]:
    for uid in UIDS:
        yield json.loads((chart / "files" / "dashboards" / f"{uid}.json").read_text())


def targets(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for panel in dashboard["panels"] for one in panel.get("targets", [])]


def used(expressions: list[str]) -> set[str]:
    names = {name for text in expressions for name in re.findall(r"\btrainingjob_\w+", text)}
    return {SUFFIX.sub("", name) if name not in documented() else name for name in names}


def test_the_files_follow_from_their_source(chart: Path) -> None:
    command = [sys.executable, str(chart.parent / "monitoring.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_alerts_use_metrics_that_exist(chart: Path) -> None:
    groups = yaml.safe_load((chart / "files" / "rules.yaml").read_text())["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    assert len(expressions) == 19
    assert used(expressions) <= documented()


def test_dashboards_use_metrics_that_exist(chart: Path) -> None:
    for dashboard in dashboards(chart):
        expressions = [one["expr"] for one in targets(dashboard)]
        assert len(used(expressions)) >= 15
        assert used(expressions) <= documented()


def test_each_query_of_the_pods_follows_the_choices_above_the_dashboard(chart: Path) -> None:
    [_, pods] = dashboards(chart)
    metrics = [
        part
        for one in targets(pods)
        for part in re.findall(r"\btrainingjob_(?!operator_)\w+[^ )]*", one["expr"])
    ]
    assert metrics
    assert all('{namespace=~"$namespace",job=~"$job"' in one for one in metrics)


def test_panels_lie_side_by_side(chart: Path) -> None:
    for dashboard in dashboards(chart):
        panels = dashboard["panels"]
        assert [one["id"] for one in panels] == list(range(1, len(panels) + 1))
        cells = [
            (x, y)
            for one in panels
            for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
            for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def test_a_panel(chart: Path) -> None:
    [operator, _] = dashboards(chart)
    datasource = {"type": "prometheus", "uid": "${datasource}"}
    [panel] = [one for one in operator["panels"] if one["title"] == "Errors by loop"]
    assert {**panel, "id": 0, "gridPos": {}} == {
        "id": 0,
        "type": "timeseries",
        "title": "Errors by loop",
        "datasource": datasource,
        "gridPos": {},
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": datasource,
                "expr": "sum by (loop) (increase(trainingjob_operator_errors_total"
                '{namespace=~"$namespace"}[$__rate_interval]))',
                "legendFormat": "{{loop}}",
            }
        ],
    }


def test_a_prometheus_rule_has_the_alerts_with_links_to_the_runbook(render: Render) -> None:
    assert ("PrometheusRule", NAME) not in render()
    settings = {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "disabledAlerts": ["TrainingCpuThrottled"],
        "runbookUrl": "https://docs.example.com/alerts/",
        "additionalRuleLabels": {"team": "ml"},
    }
    rule = render(f"monitoring.prometheusRule={json.dumps(settings)}")["PrometheusRule", NAME]
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    alerts = {one["alert"]: one for group in rule["spec"]["groups"] for one in group["rules"]}
    assert len(alerts) == 18
    assert alerts["TrainingGpuLost"] == {
        "alert": "TrainingGpuLost",
        "expr": "trainingjob_gpu_lost == 1",
        "labels": {"severity": "critical", "team": "ml"},
        "annotations": {
            "summary": "GPU {{ $labels.gpu }} of {{ $labels.namespace }}/{{ $labels.job }}"
            " fell off the bus.",
            "runbook_url": "https://docs.example.com/alerts/#traininggpulost",
        },
    }


def test_each_alert_has_a_section_of_the_runbook(chart: Path) -> None:
    page = (DOCS / "alerts.md").read_text()
    groups = yaml.safe_load((chart / "files" / "rules.yaml").read_text())["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == names


@pytest.mark.parametrize(("namespace", "expected"), [("", "ns"), ("grafana", "grafana")])
def test_dashboards_are_in_a_config_map_for_the_sidecar(
    render: Render, chart: Path, namespace: str, expected: str
) -> None:
    settings = {"enabled": True, "namespace": namespace, "annotations": {"grafana_folder": "ML"}}
    found = render(f"monitoring.dashboards={json.dumps(settings)}")
    config_map = found["ConfigMap", f"{NAME}-dashboards"]
    assert config_map["metadata"]["namespace"] == expected
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config_map["metadata"]["annotations"] == {"grafana_folder": "ML"}
    loaded = {name: json.loads(text) for name, text in config_map["data"].items()}
    assert loaded == {f"{uid}.json": one for uid, one in zip(UIDS, dashboards(chart), strict=True)}
