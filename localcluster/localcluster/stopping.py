"""Stop one component of an embedded cluster and start it again, as on a machine that fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from localcluster import embedded
from localcluster.errors import ClusterError
from localcluster.progress import step

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.paths import ClusterPaths

SECONDS = 60.0
POLL_SECONDS = 0.1


def stop(paths: ClusterPaths, name: str) -> None:
    """End a component. It stays away until ``start`` or ``up``; the others go on.

    Raises:
        ClusterError: there is no such component, or it does not end.
    """
    _known(paths, name)
    paths.stopped.write_text(f"{name}\n")
    with step(f"stopping {name}"):
        _wait(paths, name, lambda known: not known["pid"], "does not end")


def start(paths: ClusterPaths, name: str) -> None:
    """Start a component that was stopped, and wait until it is healthy.

    Raises:
        ClusterError: there is no such component, or it does not get healthy.
    """
    _known(paths, name)
    paths.stopped.unlink(missing_ok=True)
    with step(f"starting {name}"):
        _wait(paths, name, lambda known: bool(known["healthy"]), "does not get healthy")


def _wait(
    paths: ClusterPaths, name: str, reached: Callable[[dict[str, Any]], bool], otherwise: str
) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached(_known(paths, name)):
        if time.monotonic() > deadline:
            raise ClusterError(f"{name} {otherwise}: localcluster logs {name}")
        time.sleep(POLL_SECONDS)


def _known(paths: ClusterPaths, name: str) -> dict[str, Any]:
    """The state of the component that the supervisor last reported."""
    components: dict[str, dict[str, Any]] = embedded.health(paths).get("components", {})
    if name not in components:
        there = ", ".join(components) or "none, it is down"
        raise ClusterError(f"the {paths.profile} cluster has no component {name}; it has: {there}")
    return components[name]
