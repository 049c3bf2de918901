"""The commands of a section of docs/install.md."""

import pathlib

from docs.pages import blocks

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "install.md"


def commands(heading: str) -> list[str]:
    """The lines of the first block of a section."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return blocks(section)[0].body.splitlines()
