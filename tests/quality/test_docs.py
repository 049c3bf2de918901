"""Documentation: links lead to files that exist."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: pathlib.Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def test_paths_in_the_request_page_exist() -> None:
    """The picture and the tables name files by their path below the package."""
    text = (ROOT / "docs/request.md").read_text()
    package = ROOT / "src/pilothouse"
    names = set(re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.py)`", text))
    assert names and sorted(name for name in names if not (package / name).exists()) == []
