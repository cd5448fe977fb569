"""The rights that a user gives the operator, by manifests/operator.yaml, and a login with no more.

What the chart's ServiceAccount may not do is refused in the tests, as on a user's cluster.
"""

import json
from pathlib import Path
from typing import Any, NewType

import yaml

OperatorLogin = NewType("OperatorLogin", Path)
"""A kubeconfig that logs in as the ServiceAccount; an administrator's is no such thing."""

NAME, NAMESPACE = "trainingjob-operator", "trainingjob-system"
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
TOKEN_DURATION = "24h"
_MANIFESTS = Path(__file__).parents[2] / "manifests" / "operator.yaml"
_CLUSTER_WIDE = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
_NAMESPACED = ("Role", "RoleBinding")


def account() -> str:
    """The ServiceAccount with its rights, as YAML that kubectl applies."""
    return yaml.safe_dump_all(_objects(*_CLUSTER_WIDE, *_NAMESPACED))


def rights_in(namespace: str) -> list[dict[str, Any]]:
    """The Role and its binding as if the operator were installed in `namespace`.

    The ServiceAccount is still the one of trainingjob-system.
    """
    found = _objects(*_NAMESPACED)
    for one in found:
        one["metadata"]["namespace"] = namespace
    return found


def login(admin: Path, token: str, target: Path) -> OperatorLogin:
    """Write a kubeconfig for the cluster of the administrator's one; return where it is."""
    config = yaml.safe_load(admin.read_text())
    [user] = config["users"]
    user["user"] = {"token": token}
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(config))
    return OperatorLogin(target)


def token_of(written: OperatorLogin) -> str:
    """The token in a kubeconfig that `login` wrote."""
    [user] = yaml.safe_load(written.read_text())["users"]
    return str(user["user"]["token"])


def forbidden(audit_log: Path, offset: int = 0) -> list[str]:
    """The writes that the ServiceAccount had no right to, as "verb resource/subresource".

    By the authorizer's own decision: a quota, or a namespace that goes, is a 403 as well.
    """
    found = []
    with audit_log.open() as lines:
        lines.seek(offset)
        for line in lines:
            entry = json.loads(line)
            decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
            if decision == "forbid" and entry["user"]["username"] == USER:
                target = entry.get("objectRef", {})
                part = f"/{target['subresource']}" if target.get("subresource") else ""
                found.append(f"{entry['verb']} {target.get('resource')}{part}")
    return found


def _objects(*kinds: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(_MANIFESTS.read_text())
    return [one for one in documents if one and one["kind"] in kinds]
