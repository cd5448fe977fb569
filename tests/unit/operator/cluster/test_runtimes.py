"""Which runtime a job gets, of those that the cluster has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from trainingjob_operator.adapters.kube import Resource
from trainingjob_operator.api import RuntimeKind, TrainingJob
from trainingjob_operator.cluster.runtimes import Runtimes
from trainingjob_operator.core.decode import RUNTIME_LIMIT, runtime_view

from tests.support.jobs import training_job
from tests.support.runtimes import asking
from tests.support.watches import Script, page

JsonObject = dict[str, Any]
NAMESPACED = (("ml", "default"), ("ml", "mine"), ("other", "default"), ("other", "gpu"))
OF_CLUSTER = ("default", "gpu")


def runtime(name: str, namespace: str = "", **spec: Any) -> JsonObject:
    place = {"namespace": namespace} if namespace else {}
    return {"metadata": {"name": name, "uid": "r-1", "generation": 3, **place}, "spec": spec}


class Api:
    """An API server with some runtimes of both kinds."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def source(self, resource: Resource, *, namespace: str | None) -> Script:
        self.asked.append((resource.plural, namespace))
        items = [runtime(name) for name in OF_CLUSTER]
        if resource.plural == "trainingruntimes":
            items = [
                runtime(name, place) for place, name in NAMESPACED if namespace in (None, place)
            ]
        return Script(lists=[page(1, *items)], watches=[])


@asynccontextmanager
async def listed(*namespaces: str) -> AsyncIterator[tuple[Runtimes, Api, list[str]]]:
    api, changed = Api(), list[str]()
    found = Runtimes(api, namespaces, changed.append, lambda _: None)
    work = [asyncio.create_task(one.run()) for one in found.informers.values()]
    for one in found.informers.values():
        await one.refresh(60)
    yield found, api, changed
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (asking(), ("", "gpu")),
        (asking(kind="TrainingRuntime", name="mine"), ("ml", "mine")),
        # Not that of another namespace, and not the default in place of one that is not there.
        (asking(kind="TrainingRuntime", name="gpu"), None),
        (asking(name="mine"), None),
        (training_job(), ("ml", "default")),
        (training_job({}, None, namespace="third"), ("", "default")),
    ],
)
async def test_the_one_that_it_names_else_the_default_of_its_namespace_else_of_the_cluster(
    job: TrainingJob, expected: tuple[str, str] | None
) -> None:
    async with listed() as (runtimes, api, changed):
        found = runtimes.of(job)
        assert (found and (found.namespace, found.name)) == expected
        assert runtimes.of_cluster
        assert api.asked == [("trainingruntimes", None), ("clustertrainingruntimes", None)]
        assert set(changed) == {f"{place}/{name}" for place, name in NAMESPACED} | {
            "/default",
            "/gpu",
        }


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (asking(), None),
        (training_job(), ("ml", "default")),
        (training_job({}, None, namespace="third"), None),
    ],
)
async def test_an_operator_of_some_namespaces_reads_none_of_the_cluster(
    job: TrainingJob, expected: tuple[str, str] | None
) -> None:
    async with listed("ml", "third") as (runtimes, api, _):
        found = runtimes.of(job)
        assert (found and (found.namespace, found.name)) == expected
        assert not runtimes.of_cluster
        assert api.asked == [("trainingruntimes", "ml"), ("trainingruntimes", "third")]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"defaults": {"image": "x"}}, ""),
        ({"allow": "args", "novelty": 1}, "spec.allow: Input should be a valid list"),
        (
            {"defaults": {"image": "x" * RUNTIME_LIMIT}},
            "its spec has more than 131072 characters",
        ),
    ],
)
def test_why_one_cannot_be_used(spec: JsonObject, problem: str) -> None:
    assert runtime_view(RuntimeKind.TRAINING_RUNTIME, runtime("a", "ml", **spec)).problem == problem
