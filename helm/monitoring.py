"""Write the chart's alert rules and Grafana dashboards, and docs/alerts.md, from helm/monitoring/.

Run from the repository's root: `python helm/monitoring.py`, with `--check` to fail on a difference
instead of writing.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "helm" / "monitoring"
FILES = ROOT / "helm" / "trainingjob-operator" / "files"
JsonObject = dict[str, Any]

COLUMNS = 24
WIDTH = 8
HEIGHT = 7
PAGE = """\
<!-- Written by `make manifests` from helm/monitoring/alerts.yaml; do not edit. -->
# Alerts

The rules that the chart installs with `monitoring.prometheusRule.enabled=true`, for the Prometheus
operator. Without it, give Prometheus
[the file of the rules](../helm/trainingjob-operator/files/rules.yaml). What the metrics mean:
[the operator's](operator-metrics.md), [the pods'](trainer/monitor.md).

`monitoring.prometheusRule.disabledAlerts` leaves alerts out. `monitoring.prometheusRule.runbookUrl`
is the address at which your team reads this page: each alert then links to its section.
"""


def groups() -> list[JsonObject]:
    """The groups of alerts in the source."""
    found: list[JsonObject] = yaml.safe_load((SOURCE / "alerts.yaml").read_text())
    return found


def rule(alert: JsonObject) -> JsonObject:
    """An alert as a rule of Prometheus."""
    return {
        "alert": alert["alert"],
        "expr": alert["expr"],
        **({"for": alert["for"]} if "for" in alert else {}),
        "labels": {"severity": alert["severity"]},
        "annotations": {"summary": alert["summary"]},
    }


def rules() -> str:
    """The file of rules that Prometheus reads, and the `spec` of a PrometheusRule."""
    made = [
        {"name": group["name"], "rules": [rule(alert) for alert in group["rules"]]}
        for group in groups()
    ]
    head = "# Written by `make manifests` from helm/monitoring/alerts.yaml; do not edit.\n"
    return head + yaml.safe_dump({"groups": made}, sort_keys=False, width=120)


def runbook() -> str:
    """The page with a section for each alert."""
    parts = [PAGE]
    for group in groups():
        parts.append(f"## {group['title']}\n")
        parts += [section(alert) for alert in group["rules"]]
    return "\n".join(parts)


def section(alert: JsonObject) -> str:
    """What the page says of one alert."""
    summary = re.sub(r"\{\{ \$value[^}]*\}\}", "N", alert["summary"])
    summary = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"`\1`", summary)
    wait = f" for {alert['for']}" if "for" in alert else ""
    return (
        f"### {alert['alert']}\n\n{summary} Severity: {alert['severity']}.\n\n"
        f"```promql\n{alert['expr']}\n```\n\nFires{wait or ' at once'}.\n\n{alert['runbook']}"
    )


def dashboards() -> dict[str, str]:
    """Grafana's JSON of each dashboard, by its uid."""
    found = yaml.safe_load((SOURCE / "dashboards.yaml").read_text())
    return {one["uid"]: json.dumps(dashboard(one), indent=1) + "\n" for one in found}


def dashboard(one: JsonObject) -> JsonObject:
    """A dashboard as Grafana imports it (schema 39, Grafana 11 and later)."""
    return {
        "uid": one["uid"],
        "title": one["title"],
        "tags": ["trainingjob"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [DATASOURCE, *variables(one["variables"])]},
        "panels": list(panels(one)),
    }


DATASOURCE = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
}
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def variables(queries: JsonObject) -> Iterator[JsonObject]:
    """The choices above a dashboard; "all" also matches series without the label."""
    for name, query in queries.items():
        yield {
            "name": name,
            "type": "query",
            "datasource": PROMETHEUS,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def panels(one: JsonObject) -> Iterator[JsonObject]:
    """The rows and panels, numbered and laid out from left to right."""
    matchers = ",".join(f'{name}=~"${name}"' for name in one["variables"])
    number, top = 0, 0
    for row in one["rows"]:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row["title"],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        left, top = 0, top + 1
        for source in row["panels"]:
            width = source.get("width", WIDTH)
            if left + width > COLUMNS:
                left, top = 0, top + HEIGHT
            number += 1
            place = {"x": left, "y": top, "w": width, "h": HEIGHT}
            yield panel(source, number, place, "" if source.get("everything") else matchers)
            left += width
        top += HEIGHT


def panel(source: JsonObject, number: int, place: JsonObject, matchers: str) -> JsonObject:
    """One panel with its queries."""
    kind = source.get("kind", "timeseries")
    custom = {"custom": {"fillOpacity": 20, "stacking": {"mode": "normal"}}}
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": PROMETHEUS,
            "expr": selected(expression, matchers),
            "legendFormat": legend or "__auto",
        }
        for index, (legend, expression) in enumerate(source["queries"].items())
    ]
    return {
        "id": number,
        "type": kind,
        "title": source["title"],
        "datasource": PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": source.get("unit", "short"),
                **({"min": 0, "max": 1} if kind == "gauge" else {}),
                **(custom if source.get("stack") else {}),
            },
            "overrides": [],
        },
        "targets": targets,
    }


def selected(expression: str, matchers: str) -> str:
    """A query in which each metric of ours has the matchers."""

    def insert(found: re.Match[str]) -> str:
        given = (found[2] or "").strip("{}")
        parts = ",".join(one for one in (matchers, given) if one)
        return f"{found[1]}{{{parts}}}" if parts else found[1]

    return re.sub(r"\b(trainingjob_\w+)(\{[^}]*\})?", insert, expression)


def generated() -> dict[Path, str]:
    """The text of every file that follows from the sources."""
    return {
        FILES / "rules.yaml": rules(),
        ROOT / "docs" / "alerts.md": runbook(),
        **{FILES / "dashboards" / f"{uid}.json": text for uid, text in dashboards().items()},
    }


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="fail on a difference, write nothing")
    check = parser.parse_args().check
    stale = 0
    for path, text in generated().items():
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if check:
            print(
                f"{path.relative_to(ROOT)} is not up to date: run `make manifests`", file=sys.stderr
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
