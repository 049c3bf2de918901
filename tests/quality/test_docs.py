"""Documentation: links lead to files and headings that exist, and the index names every page."""

import functools
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *ROOT.glob("*/README.md"),
        *(ROOT / "changelog.d").glob("*.md"),
    }
)
INDEX = ROOT / "docs/README.md"
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*)\)")


def prose(page: pathlib.Path) -> str:
    """A page without its code: neither fenced blocks nor spans have links."""
    return re.sub(r"`[^`\n]+`", "`code`", FENCE.sub("", page.read_text()))


@functools.cache
def anchors(page: pathlib.Path) -> frozenset[str]:
    """The names of a page's headings, by the rule of GitHub: one that appears again is numbered."""
    found: dict[str, int] = {}
    out = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", page.read_text()), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found[name] = found.get(name, -1) + 1
        out.add(f"{name}-{count}" if count else name)
    return frozenset(out)


def broken(page: pathlib.Path) -> Iterator[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    for target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and (file.suffix != ".md" or anchor not in anchors(file))):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: pathlib.Path) -> None:
    assert list(broken(page)) == []


def test_broken_links_are_found(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, c\n## Same\n## Same\n```sh\n# No heading\n[x](none.md)\n```\n"
        "[1](#a-b-c) [2](#same-1) [3](page.md#same) [4](https://example.com/none) `[5](none.md)`\n"
        "[6](#no-heading) [7](none.md) [8](page.md#same-2)\n"
    )
    assert list(broken(page)) == ["#no-heading", "none.md", "page.md#same-2"]


def test_the_index_names_every_page() -> None:
    named = {(INDEX.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(INDEX))}
    pages = {page for page in INDEX.parent.glob("*.md") if page != INDEX}
    assert sorted(page.name for page in pages - named) == []


DECISIONS = sorted((ROOT / "docs/decisions").glob("0*.md"))
PARTS = ["Context", "Decision", "Consequences", "What was weighed"]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_one_page_in_four_parts(page: pathlib.Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.M) == PARTS
    assert text.startswith(f"# {int(page.name[:4])}. ") and text.count("\n") <= 60
    title = text.partition("\n")[0].partition(". ")[2]
    assert f"({page.name}) | {title} |" in (page.parent / "README.md").read_text(), "its index has its title"


def test_paths_in_the_request_page_exist() -> None:
    """The picture and the tables name files by their path below the package."""
    text = (ROOT / "docs/request.md").read_text()
    package = ROOT / "src/pilothouse"
    names = set(re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.py)`", text))
    assert names and sorted(name for name in names if not (package / name).exists()) == []
