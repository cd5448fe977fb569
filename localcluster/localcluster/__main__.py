"""The command line: ``localcluster up | down | stop | start | status | env | build | load | …``."""

from __future__ import annotations

import argparse
import sys

from localcluster import commands_for_users as user
from localcluster.errors import ClusterError
from localcluster.paths import PROFILES
from localcluster.programs import TOOLS
from localcluster.progress import say


def parser() -> argparse.ArgumentParser:
    """The command line's grammar; each command names the function that does it."""
    root = argparse.ArgumentParser(
        prog="localcluster",
        description="A real Kubernetes for this repository's demo and tests.",
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        added.set_defaults(run=getattr(user, name))
        return added

    def cluster_command(name: str, help_text: str) -> argparse.ArgumentParser:
        added = command(name, help_text)
        added.add_argument(
            "--profile",
            choices=PROFILES,
            default="node",
            help="node: a real node (default); kwok: fake nodes",
        )
        return added

    cluster_command("up", "Start the cluster, or do nothing if it works.")
    cluster_command("down", "Remove the cluster.")
    stop = cluster_command("stop", "Stop one component, as a failure would; up starts it, too.")
    stop.add_argument("component", help="kubelet, say")
    start = cluster_command("start", "Start a component that was stopped.")
    start.add_argument("component")
    status = cluster_command("status", "Tell how each component is; exit code 1 if one fails.")
    status.add_argument("--json", action="store_true", help="print JSON")
    cluster_command("env", "Print the shell variables that lead to the cluster.")
    logs = cluster_command("logs", "Print the log of a component.")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing")
    build = command("build", "Build the images of this repository.")
    names = "operator, trainer, agent"
    build.add_argument("images", nargs="*", metavar="IMAGE", help=f"{names}; default all")
    build.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="handed to the Dockerfile, say TORCH_INDEX=URL; may be repeated",
    )
    load = command("load", "Bring built images into the node cluster.")
    load.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help=f"{names} or the name of a built image; default the three",
    )
    tool = command("tool", "Print the path of a pinned program, built if it is missing.")
    tool.add_argument("name", choices=sorted(TOOLS))
    return root


def main() -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 the machine lacks something."""
    arguments = parser().parse_args()
    try:
        code: int = arguments.run(arguments)
    except ClusterError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where this stopped")
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
