"""`python -m trainingjob_operator.installation_check`: what `helm test` asks of an installation.

It runs with the operator's ServiceAccount, settings and files, so that it sees what the operator
sees: whether it is ready, whether it has its rights, whether each MLflow server takes its login.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from trainingjob_operator.adapters.kube import ApiError, Kube, Resource
from trainingjob_operator.adapters.mlflow_rest import MlflowError
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.runs.clients import ClientPool
from trainingjob_operator.settings import Settings, SettingsError, read_settings

# URL of the Service's /readyz, and JSON: [{"namespace": "" for all, "rules": [PolicyRule]}].
READY_URL = "TRAININGJOB_CHECK_READY_URL"
RIGHTS = "TRAININGJOB_CHECK_RIGHTS"
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
READY_SECONDS = 10


@dataclass(frozen=True)
class Finding:
    """What one check found; `problem` is empty if all is well."""

    subject: str
    problem: str = ""


@dataclass(frozen=True)
class Right:
    """One verb on one resource; `namespace` "" is all, `name` "" any object."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        """As a person says it: "patch trainingjobs.trainingjob.dev/status in team-a"."""
        plural, _, part = self.resource.partition("/")
        thing = ".".join(one for one in (plural, self.group) if one) + (f"/{part}" if part else "")
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {thing}{named} in {self.namespace or 'all namespaces'}"

    def review(self) -> dict[str, Any]:
        """The SelfSubjectAccessReview (authorization.k8s.io/v1) that asks for it."""
        plural, _, part = self.resource.partition("/")
        asked = {
            "namespace": self.namespace,
            "group": self.group,
            "resource": plural,
            "subresource": part,
            "verb": self.verb,
            "name": self.name,
        }
        given = {key: value for key, value in asked.items() if value}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": given},
        }


def rights_of(scopes: str) -> Iterator[Right]:
    """Each right of the rules in `scopes`, JSON as in TRAININGJOB_CHECK_RIGHTS."""
    for scope in json.loads(scopes):
        for rule in scope["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        for name in rule.get("resourceNames", [""]):
                            yield Right(scope["namespace"], group, resource, verb, name)


async def readiness(url: str) -> Finding:
    """Whether the operator behind the Service is ready."""
    subject = f"operator ready at {url}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(READY_SECONDS)) as session,
            session.get(url) as answer,
        ):
            text = await answer.text()
    except (TimeoutError, aiohttp.ClientError) as error:
        return Finding(subject, str(error) or "no answer in time")
    return Finding(subject, "" if answer.status == HTTPStatus.OK else f"{answer.status} {text}")


async def access(kube: Kube, rights: list[Right]) -> list[Finding]:
    """The rights that the ServiceAccount lacks, or one finding that it lacks none."""
    missing = []
    for right in rights:
        try:
            review = await kube.create(ACCESS_REVIEWS, "", right.review())
        except ApiError as error:
            return [Finding("rights of the ServiceAccount", str(error))]
        if not review["status"]["allowed"]:
            missing.append(Finding(f"may {right}", review["status"].get("reason") or "no"))
    return missing or [Finding(f"{len(rights)} rights of the ServiceAccount")]


async def mlflow(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Whether each MLflow server that jobs may name answers, with the operator's login."""
    clients = ClientPool(settings, environment, lambda _endpoint, _outcome, _seconds: None)
    uris = settings.tracking_uris
    found = []
    try:
        for uri in dict.fromkeys((uris.default_uri, *sorted(uris.allowed_uris))):
            try:
                await clients(uri).newest_experiment_ids()
            except MlflowError as error:
                found.append(Finding(f"MLflow at {uri}", str(error)))
            else:
                found.append(Finding(f"MLflow at {uri}"))
    finally:
        await clients.close()
    return found


async def check(environment: Mapping[str, str]) -> list[Finding]:
    """All findings.

    Raises:
        SettingsError: a setting of the operator is missing or wrong.
    """
    settings = read_settings(environment)
    kube = await Kube.connect(proxy_of=environment_proxy)
    try:
        rights = await access(kube, list(rights_of(environment[RIGHTS])))
    finally:
        await kube.close()
    ready = await readiness(environment[READY_URL])
    return [ready, *rights, *await mlflow(settings, environment)]


def main() -> int:
    """Print the findings; return 1 if there is a problem."""
    try:
        findings = asyncio.run(check(os.environ))
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for one in findings:
        print(f"FAILED  {one.subject}: {one.problem}" if one.problem else f"ok      {one.subject}")
    return 1 if any(one.problem for one in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
