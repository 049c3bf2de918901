"""The commands of a section of docs/install.md."""

import pathlib

from docs.pages import blocks

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "install.md"


def scripts(heading: str) -> list[str]:
    """The blocks of a section, as programs of a shell."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [block.body for block in blocks(section)]


def commands(heading: str) -> list[str]:
    """The lines of the first block of a section."""
    return scripts(heading)[0].splitlines()
