"""Write the tables of docs/architecture.md: what every file is for, in the words of its own docstring.

    python tools/gen_map.py [--out FILE]

Everything above the line `## Every file` is written by hand.
"""

import argparse
import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
MAP = ROOT / "docs/architecture.md"
MARK = "## Every file\n"
SUFFIXES = (".py", ".pyx", ".pxi", ".pxd")
SKIPPED = {"__pycache__", "bootstrap_data", "schemas"}
"""Folders of data: their package's docstring is enough."""


def folders() -> list[pathlib.Path]:
    """The folders of the code, a folder before those inside it."""
    package = ROOT / "src/pilothouse"
    found = [p.parent for p in package.rglob("__init__.py") if p.parent.name not in SKIPPED]
    return [ROOT / "ext/pilothouse", *sorted(found)]


def about(path: pathlib.Path) -> str:
    """The first sentence or line of what a file says of itself."""
    text = path.read_text()
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        found = re.search(r'^"""(.*?)"""', text, re.S | re.M) or re.search(
            r"((?:^# (?!cython:).*\n)+)", text, re.M
        )
        said = re.sub(r"^# ", "", found[1], flags=re.M) if found else ""
    if not said and path.suffix == ".pxi":
        users = [p.name for p in sorted(path.parent.glob("*.p*")) if _includes(p, path)]
        said = f"Included by {' and '.join(users)}."
    if not said and path.suffix == ".pxd":
        said = "What other compiled modules may cimport."
    first = " ".join(said.split("\n\n")[0].split())
    return first.replace("|", "\\|")


def _includes(path: pathlib.Path, part: pathlib.Path) -> bool:
    return bool(re.search(f'^include "(?:pilothouse/)?{re.escape(part.name)}"', path.read_text(), re.M))


def table(folder: pathlib.Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.name != "__init__.py")
    rows = "".join(f"| `{p.name}` | {about(p)} |\n" for p in files)
    package = folder / "__init__.py"
    intro = f"{about(package)}\n\n" if package.exists() else ""
    return f"### `{folder.relative_to(ROOT)}/`\n\n{intro}" + (
        f"| file | |\n|---|---|\n{rows}\n" if rows else ""
    )


def build() -> str:
    """The document with new tables."""
    head = MAP.read_text().split(MARK)[0]
    tables = "".join(table(folder) for folder in folders())
    return f"{head}{MARK}\n{tables.rstrip()}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the tables of docs/architecture.md.")
    parser.add_argument("--out", type=pathlib.Path, default=MAP)
    parser.parse_args().out.write_text(build())


if __name__ == "__main__":
    main()
