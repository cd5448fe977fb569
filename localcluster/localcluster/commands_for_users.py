"""What each command of the command line does; each returns an exit code."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import asdict
from typing import TYPE_CHECKING

from localcluster import embedded, gobuild, images, kind, stopping
from localcluster import status as cluster_status
from localcluster.errors import ClusterError
from localcluster.links import link_programs, programs_directory
from localcluster.locking import exclusive
from localcluster.paths import ClusterPaths
from localcluster.state import State

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

MLFLOW_NODE_PORT = 30500


def up(arguments: Namespace) -> int:
    """Start the chosen cluster."""
    paths = ClusterPaths.of(arguments.profile)
    if not _is_kind(paths):
        embedded.require_machine(paths.profile)
    with exclusive(paths.lock, f"changing the {paths.profile} cluster"):
        if _is_kind(paths):
            kind.up(paths)
        else:
            embedded.up(paths)
            if paths.profile == "node":
                images.ensure_pause(paths)
    return 0


def down(arguments: Namespace) -> int:
    """Remove the chosen cluster."""
    paths = ClusterPaths.of(arguments.profile)
    with exclusive(paths.lock, f"changing the {paths.profile} cluster"):
        if _is_kind(paths):
            kind.down(paths)
        else:
            embedded.down(paths)
    return 0


def stop(arguments: Namespace) -> int:
    """Stop one component of the chosen cluster."""
    return _turn(arguments, "stop", stopping.stop)


def start(arguments: Namespace) -> int:
    """Start one component that was stopped."""
    return _turn(arguments, "start", stopping.start)


def _turn(arguments: Namespace, verb: str, of_embedded: Callable[[ClusterPaths, str], None]) -> int:
    paths = ClusterPaths.of(arguments.profile)
    if _is_kind(paths):
        kind.systemctl(verb, arguments.component)
    else:
        of_embedded(paths, arguments.component)
    return 0


def status(arguments: Namespace) -> int:
    """Print how the cluster is; 0 only if all is well."""
    paths = ClusterPaths.of(arguments.profile)
    rows = kind.rows(paths) if _is_kind(paths) else cluster_status.rows(embedded.health(paths))
    healthy = bool(rows) and all(row.state == "healthy" for row in rows)
    if arguments.json:
        report = {
            "profile": paths.profile,
            "healthy": healthy,
            "components": [asdict(row) for row in rows],
        }
        print(json.dumps(report, indent=2))
    elif rows:
        print(cluster_status.table(rows))
    else:
        print(f"the {paths.profile} cluster is down")
    return 0 if healthy else 1


def env(arguments: Namespace) -> int:
    """Print shell exports; the cluster must be up."""
    paths = ClusterPaths.of(arguments.profile)
    state = State.read(paths.state)
    if state is None:
        raise ClusterError(
            f"the {paths.profile} cluster is down: localcluster up --profile {paths.profile}"
        )
    link_programs()
    print(f"export KUBECONFIG={shlex.quote(str(paths.kubeconfig))}")
    print(f'export PATH={shlex.quote(str(programs_directory()))}:"$PATH"')
    if state.engine != kind.ENGINE:
        print(f"export TRAININGJOB_AUDIT_LOG={shlex.quote(str(paths.audit_log))}")
    if state.node_address:
        print(f"export MLFLOW_TRACKING_URI=http://{state.node_address}:{MLFLOW_NODE_PORT}")
    return 0


def logs(arguments: Namespace) -> int:
    """Print the component's log with ``tail``."""
    paths = ClusterPaths.of(arguments.profile)
    log = paths.log(arguments.component)
    if not log.exists():
        known = ", ".join(sorted(path.stem for path in paths.logs.glob("*.log"))) or "none"
        raise ClusterError(f"no log of {arguments.component}; there are: {known}")
    follow = ["-f"] if arguments.follow else []
    return subprocess.run(["tail", "-n", "+1", *follow, str(log)], check=False).returncode


def build(arguments: Namespace) -> int:
    """Build images of this repository."""
    images.build(arguments.images or list(images.DOCKERFILES), arguments.build_arg)
    return 0


def load(arguments: Namespace) -> int:
    """Bring images into the node cluster."""
    paths = ClusterPaths.of("node")
    with exclusive(paths.lock, "changing the node cluster"):
        for image in arguments.images or images.DOCKERFILES:
            images.load(paths, image)
    return 0


def tool(arguments: Namespace) -> int:
    """Print where a pinned program is."""
    gobuild.ensure(arguments.name)
    print(gobuild.binary_path(arguments.name))
    return 0


def _is_kind(paths: ClusterPaths) -> bool:
    state = State.read(paths.state)
    if state is not None:
        return state.engine == kind.ENGINE
    return paths.profile == "node" and kind.engine_answers()
