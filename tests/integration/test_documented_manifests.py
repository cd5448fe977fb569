"""The API server takes what the pages on migration and the how-to pages tell people to apply."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documents import DOCS
from tests.support.fixtures import Kwok

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of other projects, whose definitions the cluster does not have.
FOREIGN = {"argoproj.io", "kubeflow.org", "trainer.kubeflow.org"}


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for page in (DOCS / "migration.md", *sorted((DOCS / "how-to").glob("*.md"))):
        for text in BLOCK.findall(page.read_text()):
            for one in yaml.safe_load_all(text):
                if one.get("apiVersion", "").split("/")[0] not in FOREIGN and "kind" in one:
                    yield f"{page.stem}-{one['kind']}-{one['metadata']['name']}", one


MANIFESTS = dict(manifests())


def test_there_are_some_on_nearly_all_pages() -> None:
    assert len(MANIFESTS) == 10


@pytest.mark.parametrize("name", MANIFESTS)
def test_it_is_valid(kwok: Kwok, name: str) -> None:
    text = yaml.safe_dump(MANIFESTS[name])
    printed = kwok.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "--filename=-"), stdin=text
    )
    assert printed.endswith("created (server dry run)\n")


@pytest.mark.parametrize("page", ["openshift", "network-policy"])
def test_values_of_the_chart_are_those_that_it_has(page: str) -> None:
    values = yaml.safe_load(Path("helm/trainingjob-operator/values.yaml").read_text())
    blocks = BLOCK.findall((DOCS / "how-to" / f"{page}.md").read_text())
    [told] = [text for text in blocks if text.startswith("# values of the chart")]
    for name, part in yaml.safe_load(told).items():
        assert set(part) <= set(values[name])
