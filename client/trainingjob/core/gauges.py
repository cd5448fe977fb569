"""The rows of `tj top`: the latest values of metrics, those of the system node by node."""

import re
from collections.abc import Mapping

HEADINGS = ("NODE", "METRIC", "VALUE")
_SYSTEM = re.compile(r"system/(?:(\d+)/)?(.+)")
_TRAINING = "-"


def rows(metrics: Mapping[str, float]) -> list[tuple[str, str, str]]:
    """Node rank, name and value: first the training's own, then each node's (docs/concepts.md)."""
    training, nodes = [], []
    for name, value in sorted(metrics.items()):
        found = _SYSTEM.fullmatch(name)
        if found is None:
            training.append((_TRAINING, name, f"{value:.6g}"))
        else:
            nodes.append((found[1] or "0", found[2], f"{value:.6g}"))
    return [*training, *sorted(nodes, key=lambda row: (int(row[0]), row[1]))]
