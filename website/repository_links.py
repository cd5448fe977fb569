"""mkdocs hooks: links of docs/ into the rest of the repository lead to copies of the files there.

So the same pages work where the repository is browsed and on the site.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs"
COPIES = "repository"
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the decisions to the navigation, which need no order."""
    pages = sorted((ROOT / DOCS / "decisions").glob("*.md"))
    config.nav = [*(config.nav or []), {"Decisions": [f"decisions/{one.name}" for one in pages]}]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to, and those that these link to."""
    waiting = [page.src_uri for page in files.documentation_pages()]
    waiting += list(_named(config.nav))
    while waiting:
        page = waiting.pop()
        source = ROOT / _in_repository(page)
        if not source.is_file():
            continue  # mkdocs reports the link itself
        if page.startswith(f"{COPIES}/") and page not in files.src_uris:
            files.append(File.generated(config, page, abs_src_path=str(source)))
        if page.endswith(".md"):
            waiting += [one for one in _targets(page) if one not in files.src_uris]
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Rewrite the links of a page as they are on the site."""
    here = page.file.src_uri

    def rewritten(link: re.Match[str]) -> str:
        target = _on_site(here, link[2])
        return f"{link[1]}{posixpath.relpath(target, posixpath.dirname(here) or '.')}{link[3]}"

    return LINK.sub(rewritten, markdown)


def _named(nav: Any) -> Iterator[str]:
    """The copies that the navigation names."""
    if isinstance(nav, dict):
        nav = list(nav.values())
    if isinstance(nav, list):
        for one in nav:
            yield from _named(one)
    elif isinstance(nav, str) and nav.startswith(f"{COPIES}/"):
        yield nav


def _targets(page: str) -> Iterator[str]:
    """Where the links of a page lead, as paths of the site."""
    text = (ROOT / _in_repository(page)).read_text()
    return (_on_site(page, link[2]) for link in LINK.finditer(text))


def _in_repository(page: str) -> str:
    copied = page.removeprefix(f"{COPIES}/")
    return copied if copied != page else f"{DOCS}/{page}"


def _on_site(page: str, link: str) -> str:
    """A relative link of a page as a path of the site."""
    there = posixpath.normpath(posixpath.join(posixpath.dirname(_in_repository(page)), link))
    if there.startswith(f"{DOCS}/"):
        return there.removeprefix(f"{DOCS}/")
    return f"{COPIES}/{there}"
