"""A release of the chart beside that of manifests/operator.yaml: its rights and its settings."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.support import service_account
from tests.support.fixtures import REPOSITORY, Kwok
from tests.support.processes import HASTY, OperatorProcess
from tests.support.service_account import OperatorLogin

RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
PREFIX = "TRAININGJOB_OPERATOR_"
NAME = "trainingjob-operator"


def helm_program() -> str:
    """The path of helm, built at its first use."""
    command = (sys.executable, "-m", "localcluster", "tool", "helm")
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@dataclass(frozen=True)
class Installation:
    """A release `trainingjob-operator` in a namespace, which watches some or all namespaces."""

    kwok: Kwok
    namespace: str
    watched: tuple[str, ...] = ()

    @cached_property
    def rendered(self) -> list[dict[str, Any]]:
        """The objects of the chart."""
        watched = f"watchNamespaces={{{','.join(self.watched)}}}" if self.watched else ""
        command = (
            *(helm_program(), "template", NAME, "helm/trainingjob-operator"),
            f"--namespace={self.namespace}",
            "--set=crds.install=false,mlflow.trackingUri=http://given.by.the.test",
            *([f"--set={watched}"] if watched else []),
        )
        made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return [one for one in yaml.safe_load_all(made.stdout) if one]

    @property
    def rights(self) -> list[dict[str, Any]]:
        """The ServiceAccount, and what it may do."""
        return [one for one in self.rendered if one["kind"] in RIGHTS]

    @property
    def settings(self) -> dict[str, str]:
        """What the Deployment's environment says of where the operator works."""
        [deployment] = [one for one in self.rendered if one["kind"] == "Deployment"]
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        values = {one["name"].removeprefix(PREFIX): one.get("value") for one in container["env"]}
        reported = {name: values.get(name) for name in ("INSTALLATION", "WATCH_NAMESPACES")}
        return {"NAMESPACE": self.namespace, **{name: one for name, one in reported.items() if one}}

    @property
    def user(self) -> str:
        """What the API server calls it."""
        return f"system:serviceaccount:{self.namespace}:{NAME}"

    def give_rights(self) -> None:
        """Make the ServiceAccount and its Roles."""
        self.kwok.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(self.rights))

    def login(self, directory: Path) -> OperatorLogin:
        """Give the ServiceAccount its rights; returns a kubeconfig with no others."""
        self.give_rights()
        token = self.kwok.kubectl("create", "token", NAME, f"--namespace={self.namespace}")
        target = directory / f"{self.namespace}.kubeconfig"
        return service_account.login(self.kwok.kubeconfig, token.strip(), target)

    def operator(self, directory: Path, mlflow_uri: str, **settings: str) -> OperatorProcess:
        """A replica of it, not started."""
        return OperatorProcess(
            directory,
            self.login(directory),
            mlflow_uri,
            self.namespace,
            {**HASTY, **self.settings, **settings},
        )
