"""Each query of the dashboards and alerts, asked of a Prometheus that scrapes a running job."""

import json
import re
from collections.abc import Iterator

import yaml

from tests.support.api import Cluster, manifest
from tests.support.fixtures import REPOSITORY
from tests.support.prometheus import Prometheus
from tests.support.waiting import wait_for

FILES = REPOSITORY / "helm" / "trainingjob-operator" / "files"
CHOICES = {"$namespace": ".*", "$job": ".*", "$__rate_interval": "20s"}
# The choices above a dashboard: label_values(series, label).
VALUES = re.compile(r"label_values\((.*), (\w+)\)")
# What a training without CUDA, a job that goes well, and the trainer have no series of.
NO_SERIES_HERE = {
    "Restarts by reason",
    "Failures by reason",
    "Errors by loop",
    "Requests that failed, by code",
    "Statuses of runs that were corrected",
    "Steps and metrics of scripts",
    "GPU memory of torch",
    "Throttled scheduling periods",
    "Time that threads waited",
    "InfiniBand",
}
FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}


def chosen(expression: str) -> str:
    for name, value in CHOICES.items():
        expression = expression.replace(name, value)
    return expression


def panels() -> Iterator[tuple[str, list[str]]]:
    """Title and queries of each panel of both dashboards."""
    for path in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] != "row":
                yield panel["title"], [chosen(one["expr"]) for one in panel["targets"]]


def test_each_panel_shows_what_is_there(cluster: Cluster, prometheus: Prometheus) -> None:
    cluster.apply(manifest("train", annotations=FOREVER))

    def empty() -> set[str]:
        return {
            title
            for title, queries in panels()
            if not any(prometheus.query(query) for query in queries)
        }

    def filled() -> bool:
        left = empty() - NO_SERIES_HERE
        print("no series yet:", sorted(left))
        return not left

    wait_for("each panel has a series", filled, 120)

    [trainingjobs] = prometheus.query('max(trainingjob_operator_trainingjobs{state="Running"})')
    assert trainingjobs["value"][1] == "1"
    for path in (FILES / "dashboards").glob("*.json"):
        for variable in json.loads(path.read_text())["templating"]["list"][1:]:
            found = VALUES.fullmatch(variable["query"]["query"])
            assert found
            assert any(found[2] in one["metric"] for one in prometheus.query(chosen(found[1])))

    groups = yaml.safe_load((FILES / "rules.yaml").read_text())["groups"]
    urgent = [one for group in groups for one in group["rules"] if "for" not in one]
    assert [one["alert"] for one in urgent if prometheus.query(one["expr"])] == []
