"""Tenants use runtimes and make none: what a ServiceAccount with the role edit may do."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.fixtures import Kwok
from tests.support.waiting import wait_for

HEAD = "apiVersion: trainingjob.dev/v1alpha1\n"
ROOT = "{template: {spec: {hostNetwork: true}}}"


@pytest.fixture(scope="module")
def tenant(kwok: Kwok) -> Iterator["Tenant"]:
    found = Tenant(kwok, f"test-tenant-{uuid4().hex[:8]}")
    found.move_in()
    yield found
    kwok.kubectl("delete", "namespace", found.namespace, "--wait=false")


class Tenant:
    """Someone with the built-in role edit in one namespace."""

    def __init__(self, kwok: Kwok, namespace: str) -> None:
        self.namespace = namespace
        self._kwok = kwok

    def move_in(self) -> None:
        """Get the namespace, an account and its role; the roles are aggregated by a controller."""
        self._kwok.kubectl("create", "namespace", self.namespace)
        self._admin("create", "serviceaccount", "tenant")
        account = f"--serviceaccount={self.namespace}:tenant"
        self._admin("create", "rolebinding", "tenant", "--clusterrole=edit", account)
        wait_for("the role is there", lambda: self.may("create", "trainingjobs"), 60)

    def _admin(self, *arguments: str) -> None:
        self._kwok.kubectl(*arguments, f"--namespace={self.namespace}")

    def tries(self, *arguments: str, stdin: str | None = None) -> tuple[str, str]:
        """What a call of kubectl answers, and what it complains of."""
        who = f"--as=system:serviceaccount:{self.namespace}:tenant"
        done = self._kwok.call(*arguments, f"--namespace={self.namespace}", who, stdin=stdin)
        return done.stdout, done.stderr

    def may(self, verb: str, resource: str) -> bool:
        """Whether the tenant has a right, in the namespace or in the cluster."""
        # kubectl takes what comes after a slash for the name of an object.
        name, _, part = resource.partition("/")
        asked = ("auth", "can-i", verb, name, f"--subresource={part}")
        return self.tries(*asked)[0].strip() == "yes"


def made(kind: str, spec: str, **more: str) -> str:
    extra = "".join(f"{name}: {value}\n" for name, value in more.items())
    return f"{HEAD}kind: {kind}\nmetadata: {{name: mine}}\nspec: {spec}\n{extra}"


@pytest.mark.parametrize(
    ("verb", "resource", "expected"),
    [
        *((verb, "trainingjobs", True) for verb in ("create", "update", "patch", "delete")),
        *(
            (verb, kind, verb in ("get", "list", "watch"))
            for kind in (
                "trainingruntimes.trainingjob.dev",
                "clustertrainingruntimes.trainingjob.dev",
            )
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete")
        ),
        ("patch", "trainingjobs/status", False),
        ("update", "trainingjobs/status", False),
    ],
)
def test_what_a_tenant_may(tenant: Tenant, verb: str, resource: str, expected: bool) -> None:
    assert tenant.may(verb, resource) is expected


@pytest.mark.parametrize("kind", ["TrainingRuntime", "ClusterTrainingRuntime"])
def test_a_tenant_makes_no_runtime(tenant: Tenant, kind: str) -> None:
    _, refusal = tenant.tries("create", "--filename=-", stdin=made(kind, ROOT))
    assert f'cannot create resource "{kind.lower()}s"' in refusal


def test_a_platform_team_makes_runtimes(kwok: Kwok, tenant: Tenant) -> None:
    bind = ("create", "rolebinding", "platform", "--group=platform")
    role = "--clusterrole=trainingjob-operator-runtimes-edit"
    kwok.kubectl(*bind, role, f"--namespace={tenant.namespace}")
    who = ("--as=ann", "--as-group=platform")
    place = f"--namespace={tenant.namespace}"
    done = kwok.call(*("create", "--filename=-", place, *who), stdin=made("TrainingRuntime", ROOT))
    assert done.stderr == ""
    # In that namespace only, and not those of the cluster.
    refused = kwok.call(
        *("create", "--filename=-", *who), stdin=made("ClusterTrainingRuntime", ROOT)
    )
    assert 'cannot create resource "clustertrainingruntimes"' in refused.stderr


STATUS = json.dumps(
    {
        "runtime": {
            "kind": "TrainingRuntime",
            "name": "mine",
            "spec": {"template": {"spec": {"hostNetwork": True}}},
        }
    }
)


def test_a_status_that_comes_with_a_new_job_is_dropped(tenant: Tenant) -> None:
    job = made("TrainingJob", "{image: x, suspend: true}", status=STATUS)
    tenant.tries("create", "--filename=-", "--validate=false", stdin=job)
    stored, _ = tenant.tries("get", "trainingjob", "mine", "--output=json")
    assert "status" not in json.loads(stored)
    change = ("patch", "trainingjob", "mine", "--type=merge", f'--patch={{"status": {STATUS}}}')
    tenant.tries(*change)
    stored, _ = tenant.tries("get", "trainingjob", "mine", "--output=json")
    assert "status" not in json.loads(stored)
    _, refusal = tenant.tries(*change, "--subresource=status")
    assert 'cannot patch resource "trainingjobs/status"' in refusal


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("{template: {spec: {hostNetwork: true}}}", "spec.template"),
        ("{hostNetwork: true}", "spec.hostNetwork"),
        ("{runtimeRef: {name: x, namespace: kube-system}}", "spec.runtimeRef.namespace"),
        ("{runtimeRef: {name: x, spec: {}}}", "spec.runtimeRef.spec"),
    ],
)
def test_a_job_brings_no_template_of_its_own(tenant: Tenant, spec: str, field: str) -> None:
    _, refusal = tenant.tries(
        "create", "--filename=-", "--validate=strict", stdin=made("TrainingJob", spec)
    )
    assert f'unknown field "{field}"' in refusal


@pytest.mark.parametrize("kind", ["ConfigMap", "Pod"])
def test_a_runtime_is_of_one_of_two_kinds(tenant: Tenant, kind: str) -> None:
    spec = f"{{runtimeRef: {{kind: {kind}, name: x}}}}"
    _, refusal = tenant.tries("create", "--filename=-", stdin=made("TrainingJob", spec))
    assert "spec.runtimeRef.kind: Unsupported value" in refusal
