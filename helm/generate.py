"""Write what follows from the chart: its README and the rendered manifests.

Run from the repository's root: `python helm/generate.py --helm "$(localcluster tool helm)"`, with
`--check` to fail on a difference instead of writing.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "trainingjob-operator"
RELEASE = "trainingjob-operator"
NAMESPACE = "trainingjob-system"

NAMESPACE_MANIFEST = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
OPERATOR_HEADER = """\
# Rendered from helm/trainingjob-operator by `make manifests`; do not edit.
# Apply manifests/crd.yaml first, and name your server in TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI.
"""
MLFLOW_HEADER = """\
# Rendered from helm/trainingjob-operator by `make manifests`; do not edit.
# DEMO ONLY: one pod, no login, SQLite; its data is lost when the pod goes.
"""


class Value(NamedTuple):
    """One documented value of the chart."""

    key: str
    default: str
    description: str


def documented_values(text: str) -> Iterator[Value]:
    """Yield the values of a values.yaml that have a `# -- description` above them, in its order."""
    defaults = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    description: list[str] = []
    for line in text.splitlines():
        if comment := re.match(r"\s*# (-- )?(.*)", line):
            if comment[1]:
                description = []
            description.append(comment[2])
        elif key := re.match(r"(\s*)([\w.-]+):", line):
            indent = len(key[1])
            path = [*(part for part in path if part[0] < indent), (indent, key[2])]
            if description:
                keys = [name for _, name in path]
                yield Value(".".join(keys), _default(defaults, keys), " ".join(description))
            description = []


def _default(values: Any, keys: list[str]) -> str:
    for key in keys:
        values = values[key]
    return json.dumps(values)


def chart_readme() -> str:
    """Return the chart's README, its table of values made from values.yaml."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    rows = "\n".join(
        f"| `{value.key}` | `{value.default}` | {value.description} |"
        for value in documented_values((CHART / "values.yaml").read_text())
    )
    head = (ROOT / "helm" / "README.head.md").read_text()
    return (
        "<!-- Written by `make manifests` from README.head.md and values.yaml; do not edit. -->\n"
        f"# {chart['name']}\n\n{chart['description']}.\n\n"
        f"Chart {chart['version']}, operator {chart['appVersion']}, "
        f"Kubernetes {chart['kubeVersion']}\n\n"
        f"{head}\n## Values\n\n| Value | Default | Meaning |\n|---|---|---|\n{rows}\n"
    )


def rendered(helm: str, *arguments: str) -> str:
    """Return the chart rendered by `helm template`; CalledProcessError if it does not render."""
    release = [RELEASE, str(CHART), "--namespace", NAMESPACE, "--skip-tests"]
    command = [helm, "template", *release, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def generated(helm: str) -> dict[Path, str]:
    """Return the text of every file that follows from the chart."""
    operator = rendered(
        helm,
        "--set=crds.install=false",
        f"--set=mlflow.trackingUri=http://mlflow.{NAMESPACE}.svc:5000",
    )
    mlflow = rendered(
        helm, "--set=mlflow.demo.enabled=true", "--show-only=templates/mlflow-demo.yaml"
    )
    return {
        CHART / "README.md": chart_readme(),
        ROOT / "manifests" / "operator.yaml": OPERATOR_HEADER + NAMESPACE_MANIFEST + operator,
        ROOT / "manifests" / "mlflow-demo.yaml": MLFLOW_HEADER + NAMESPACE_MANIFEST + mlflow,
    }


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--helm", default="helm", help="the helm binary (default: from PATH)")
    parser.add_argument("--check", action="store_true", help="fail on a difference, write nothing")
    arguments = parser.parse_args()
    stale = [
        (path, text)
        for path, text in generated(arguments.helm).items()
        if not path.exists() or path.read_text() != text
    ]
    for path, text in stale:
        if arguments.check:
            print(
                f"{path.relative_to(ROOT)} is not up to date: run `make manifests`", file=sys.stderr
            )
        else:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
