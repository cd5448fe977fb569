"""Several namespaces read as one."""

import asyncio
from typing import Any

import pytest
from trainingjob_operator.adapters.kube import ApiError, Resource
from trainingjob_operator.cluster import namespaces
from trainingjob_operator.cluster.namespaces import NamespaceInformers, NamespaceLister
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache

from tests.support.watches import Script, Watched, page, pod

JsonObject = dict[str, Any]


class Api:
    """TrainingJobs of one namespace, at a version of its own."""

    def __init__(self, namespace: str, version: int, *names: str) -> None:
        self.version = version
        self.items = [
            {
                "metadata": {
                    "namespace": namespace,
                    "name": name,
                    "uid": f"u-{name}",
                    "resourceVersion": str(version - 1),
                },
                "spec": {"image": "trainer:1"},
            }
            for name in names
        ]

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        # Tokens of the API server may have any characters.
        start = int((continue_token or "from 0").removeprefix("from "))
        following = f"from {start + limit}" if start + limit < len(self.items) else ""
        return {
            "metadata": {"resourceVersion": str(self.version), "continue": following},
            "items": self.items[start : start + limit],
        }


async def pages(*apis: Api) -> list[tuple[str, list[str]]]:
    lister, found, token = NamespaceLister(apis), [], None
    while True:
        page = await lister.list_page(limit=2, continue_token=token)
        names = [one["metadata"]["name"] for one in page["items"]]
        found.append((page["metadata"]["resourceVersion"], names))
        token = page["metadata"]["continue"]
        if not token:
            return found


@pytest.mark.parametrize(
    ("apis", "expected"),
    [
        ([Api("a", 5)], [("5", [])]),
        ([Api("a", 5, "x", "y", "z")], [("5", ["x", "y"]), ("5", ["z"])]),
        (
            [Api("a", 5, "x", "y", "z"), Api("b", 7), Api("c", 9, "w")],
            [("5", ["x", "y"]), ("5", ["z"]), ("5", []), ("5", ["w"])],
        ),
    ],
)
async def test_the_pages_of_all_namespaces_follow_each_other_at_the_first_ones_version(
    apis: list[Api], expected: list[tuple[str, list[str]]]
) -> None:
    assert await pages(*apis) == expected


async def test_what_a_later_namespace_lists_is_kept_until_it_is_gone() -> None:
    first, second = Api("a", 5, "x"), Api("b", 9, "y")
    cache = TrainingJobCache(NamespaceLister([first, second]), lambda _: None, lambda _: None)
    await cache.refresh()
    assert set(cache) == {"a/x", "b/y"}
    first.version, second.version = 11, 13
    second.items = []
    await cache.refresh()
    assert set(cache) == {"a/x"}


async def test_the_copies_of_all_namespaces_are_read_as_one() -> None:
    lists = {
        "a": page(7, pod("x", "a/job", "Running")),
        "b": page(9, pod("y", "b/job", "Pending"), pod("z", "b/job", "Running")),
    }
    parts = {name: Watched(Script(lists=[one], watches=[])).informer for name, one in lists.items()}
    informers = NamespaceInformers(parts)
    work = asyncio.create_task(informers.run())
    await informers.refresh(60)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert {one[0] for one in informers.items()} == {"x", "y", "z"}
    assert {one[0] for one in informers.by_index("b/job")} == {"y", "z"}
    # The pods of these lists say that they are in the namespace team.
    assert parts["a"].get("team", "x") == ("x", "a/job", "Running")
    assert informers.get("team", "x") is None
    assert NamespaceInformers({"": parts["a"]}).get("team", "x") == ("x", "a/job", "Running")
    assert informers.age() == pytest.approx(max(one.age() for one in parts.values()), abs=1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, ("a", "b")), (403, ("a",)), (503, ApiError), (0, ApiError)],
)
async def test_only_a_refusal_leaves_a_namespace_out(
    status: int | None, expected: tuple[str, ...] | type[ApiError]
) -> None:
    kube = Refusing(status)
    if isinstance(expected, tuple):
        assert await namespaces.readable(kube, ("a", "b")) == expected
    else:
        with pytest.raises(expected):
            await namespaces.readable(kube, ("a", "b"))


class Refusing:
    """An API server that answers the list of namespace b with a status, None where it is there."""

    def __init__(self, status: int | None) -> None:
        self._status = status

    async def list_page(
        self, resource: Resource, *, namespace: str | None, limit: int, continue_token: str | None
    ) -> JsonObject:
        assert (resource.plural, limit, continue_token) == ("trainingjobs", 1, None)
        if namespace == "b" and self._status is not None:
            raise ApiError(self._status, "Reason", "why")
        return page(1)
