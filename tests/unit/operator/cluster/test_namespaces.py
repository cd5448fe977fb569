"""Several namespaces read as one."""

from typing import Any

import pytest
from trainingjob_operator.cluster.namespaces import NamespaceLister
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache

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
