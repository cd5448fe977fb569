"""Bring an embedded cluster up and down.

All that may be left over after a kill is files, cgroup directories and, for a moment, a network
link; ``clean`` removes them, and both ``up`` and ``down`` begin with it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcluster import blueprint, cgroups, debian, gobuild, network, processes, programs
from localcluster.certificates import kubeconfig, write_pki
from localcluster.commands import environment
from localcluster.components import ADMIN
from localcluster.errors import ClusterError
from localcluster.links import kubectl, link_programs
from localcluster.plan import Plan
from localcluster.progress import say, step
from localcluster.state import State

if TYPE_CHECKING:
    from localcluster.blueprint import Blueprint
    from localcluster.paths import ClusterPaths, Profile

# All components are Go programs. By default a quarter of a busy API server's processor time is the
# collection of its garbage; some hundred MB more of memory take a good part of that away.
GARBAGE_COLLECTION_PERCENT = "200"
READY_SECONDS = 180.0
RECOVERY_SECONDS = 20.0
EMPTY_SECONDS = 10.0
POLL_SECONDS = 0.1
LOG_LINES = 15
OWN_NAMESPACES = (
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount",
    "--mount-proc",
    "--net",
    "--uts",
    "--ipc",
)


def health(paths: ClusterPaths) -> dict[str, Any]:
    """What the supervisor last wrote; empty if none runs."""
    if processes.supervisor_pid(paths.plan) is None or not paths.health.exists():
        return {}
    known: dict[str, Any] = json.loads(paths.health.read_text())
    return known


def is_healthy(paths: ClusterPaths) -> bool:
    """Whether the cluster has started and no component fails."""
    known = health(paths)
    return bool(known.get("ready")) and all(
        component["healthy"] for component in known["components"].values()
    )


def require_machine(profile: Profile) -> None:
    """Raise unless this user may start an embedded cluster of ``profile`` on this machine.

    Raises:
        UnsupportedMachineError: the machine lacks what it needs.
        ClusterError: this profile does not run the version of Kubernetes that was chosen.
    """
    kubernetes = programs.chosen_kubernetes()
    if profile == "node":
        if kubernetes != programs.NEWEST_KUBERNETES:
            raise ClusterError(
                f"{programs.KUBERNETES_CHOICE}={kubernetes} is for the kwok profile; the node"
                f" profile runs {programs.NEWEST_KUBERNETES}: unset {programs.KUBERNETES_CHOICE}"
            )
        debian.require_root()
    else:
        debian.require_linux()


def works(paths: ClusterPaths) -> bool:
    """Whether ``up`` has nothing to do.

    A component that fails gets time to recover, as a busy machine answers late and the supervisor
    restarts what ended: nobody's cluster is replaced for that. What was stopped starts again.
    """
    paths.stopped.unlink(missing_ok=True)
    state = State.read(paths.state)
    if state is None or state.unfinished or not health(paths).get("ready"):
        return False
    if not _runs_chosen_kubernetes(paths):
        say(f"replacing the {paths.profile} cluster, which runs another version of Kubernetes")
        return False
    deadline = time.monotonic() + RECOVERY_SECONDS
    with step(f"waiting for failing components of the {paths.profile} cluster"):
        while not is_healthy(paths):
            if time.monotonic() > deadline or not health(paths):
                return False
            time.sleep(POLL_SECONDS)
    return True


def up(paths: ClusterPaths) -> None:
    """Start the cluster unless it works already; what is there of a broken one is replaced.

    Raises:
        ClusterError: a component does not get healthy.
    """
    if works(paths):
        say(f"the {paths.profile} cluster is up already")
        return
    if paths.profile == "node":
        debian.ensure(debian.NODE_PROGRAMS)
    gobuild.ensure(*_tools(paths.profile))
    link_programs()
    clean(paths)
    with step(f"starting the {paths.profile} cluster"):
        planned = blueprint.of(paths)
        write(planned)
        start(planned)
        await_ready(paths)
        kubectl(paths.kubeconfig, "apply", "-f", "-", stdin=planned.objects)
        kubectl(
            paths.kubeconfig, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"
        )
        kubectl(paths.kubeconfig, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        planned.state.write(paths.state)
    say(f"the {paths.profile} cluster is up")


def write(planned: Blueprint) -> None:
    """Write certificates, configuration, plan and the state of an unfinished ``up``."""
    paths = planned.plane.paths
    paths.create()
    replace(planned.state, unfinished=True).write(paths.state)
    write_pki(paths.pki, planned.identities)
    for name, content in planned.files.items():
        target = paths.config / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    for name in planned.kubeconfigs:
        target = paths.kubeconfig if name == ADMIN else paths.config / f"{name}.kubeconfig"
        target.touch(mode=0o600)
        cluster = f"trainingjob-{paths.profile}"
        target.write_text(kubeconfig(planned.plane.server, paths.pki, name, cluster))
    paths.plan.write_text(planned.plan.to_json())


def start(planned: Blueprint) -> None:
    """Start the supervisor, which outlives this process, and join its network with ours."""
    paths = planned.plane.paths
    argv = [sys.executable, "-m", processes.SUPERVISOR_MODULE, str(paths.plan)]
    if planned.network:
        cgroups.create(planned.state.cgroup)
        paths.image_store.mkdir(parents=True, exist_ok=True)
        argv = [*OWN_NAMESPACES, *argv]
    with paths.log("supervisor").open("ab") as log:
        process = subprocess.Popen(
            argv,
            env=environment({"GOGC": GARBAGE_COLLECTION_PERCENT}),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_SECONDS
    while (pid := processes.supervisor_pid(paths.plan)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(_why(paths, ["supervisor"]))
        time.sleep(POLL_SECONDS)
    if planned.network:
        network.connect(planned.network, pid)


def await_ready(paths: ClusterPaths) -> None:
    """Wait until the supervisor says that all components are healthy.

    Raises:
        ClusterError: it gave up or takes too long; with the logs of those that fail.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not is_healthy(paths):
        running = processes.supervisor_pid(paths.plan) is not None
        if not running or time.monotonic() > deadline:
            known = json.loads(paths.health.read_text()) if paths.health.exists() else {}
            failing = [
                name
                for name, component in known.get("components", {}).items()
                if not component["healthy"]
            ]
            raise ClusterError(_why(paths, ["supervisor", *failing]))
        time.sleep(POLL_SECONDS)


def clean(paths: ClusterPaths) -> None:
    """End the cluster and remove all of it but the images that it stored."""
    if processes.supervisors(paths.plan):
        with step(f"stopping the {paths.profile} cluster"):
            processes.stop(paths.plan)
    state = State.read(paths.state)
    if state and state.host_link:
        network.disconnect(state.host_link)
    if state and state.cgroup:
        cgroups.remove(state.cgroup)
    _remove_directory(paths.root)


def down(paths: ClusterPaths) -> None:
    """Remove the cluster; nothing happens if there is none."""
    existed = paths.root.exists()
    clean(paths)
    say(f"the {paths.profile} cluster is {'gone' if existed else 'not there'}")


def _tools(profile: Profile) -> tuple[str, ...]:
    if profile == "node":
        return programs.NODE_TOOLS
    return tuple(programs.kwok_tools(programs.chosen_kubernetes()).values())


def _runs_chosen_kubernetes(paths: ClusterPaths) -> bool:
    """Whether a kwok cluster does; for a node cluster there is no choice."""
    plan = Plan.from_json(paths.plan.read_text())
    running = {Path(component.argv[0]).name for component in plan.components}
    return paths.profile == "node" or running.issuperset(_tools(paths.profile))


def _remove_directory(directory: Path) -> None:
    deadline = time.monotonic() + EMPTY_SECONDS
    while directory.exists():
        try:
            shutil.rmtree(directory)
        except OSError:  # a killed process may still write for a moment
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _why(paths: ClusterPaths, components: list[str]) -> str:
    parts = [f"the {paths.profile} cluster does not start"]
    for name in components:
        log = paths.log(name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        parts += [f"last lines of {log}:", *(f"  {line}" for line in lines)]
    return "\n".join(parts)
