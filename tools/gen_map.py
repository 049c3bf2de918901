"""Write docs/files.md, which lists every file, and layers and packages in docs/architecture.md.

    python tools/gen_map.py [--out FOLDER]

Everything else above the line `## Packages` of docs/architecture.md is written by hand.
"""

import argparse
import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
MARK = "## Packages\n"
DRAWN = re.compile(r"(<!-- generated: layers -->\n).*?(<!-- end -->\n)", re.S)
LAYERS = re.compile(r'^containers = \["pilothouse\.?([\w.]*)"\].*?^layers = \[\n(.*?)^\]', re.S | re.M)
"""A contract of import-linter: the package, and its layers from the top to the bottom."""
LAYER = re.compile(r'^    "([^"]+)",(?: +# (.*))?$', re.M)
"""A layer and the comment that says what is in it."""
HEAD = """# Every file

The purpose of each file, in the words of its own docstring. `make map` writes this page.
[architecture.md](architecture.md) says how the packages fit together.
"""
SUFFIXES = (".py", ".pyx", ".pxi", ".pxd")
SKIPPED = {"__pycache__", "bootstrap_data", "schemas"}
"""Folders of data: their package's docstring is enough."""


def folders() -> list[pathlib.Path]:
    """The folders of the code, a folder before those inside it."""
    package = ROOT / "src/pilothouse"
    found = [p.parent for p in package.rglob("__init__.py") if p.parent.name not in SKIPPED]
    compiled = {path.parent for path in (ROOT / "ext").rglob("*.p*")}
    return [*sorted(compiled), *sorted(found)]


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
        users = [p.name for p in sorted((ROOT / "ext").rglob("*.p*")) if _includes(p, path)]
        said = f"Included by {' and '.join(users)}."
    if not said and path.suffix == ".pxd":
        said = "The declarations that other compiled modules may cimport."
    first = " ".join(said.split("\n\n")[0].split())
    return first.replace("|", "\\|")


def _includes(path: pathlib.Path, part: pathlib.Path) -> bool:
    return bool(re.search(f'^include "(?:[\\w/]+/)?{re.escape(part.name)}"', path.read_text(), re.M))


def table(folder: pathlib.Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.name != "__init__.py")
    rows = "".join(f"| `{p.name}` | {about(p)} |\n" for p in files)
    package = folder / "__init__.py"
    intro = f"{about(package)}\n\n" if package.exists() else ""
    return f"## `{folder.relative_to(ROOT)}/`\n\n{intro}" + (
        f"| file | |\n|---|---|\n{rows}\n" if rows else ""
    )


def packages() -> str:
    """The table of packages."""
    rows = [
        (
            ROOT / "ext/pilothouse",
            "The compiled modules, in the folders of the packages that they belong to: "
            "`ext/pilothouse/api/_json.pyx` is `pilothouse.api._json`.",
        )
    ]
    rows += [
        (folder, about(folder / "__init__.py")) for folder in folders() if (folder / "__init__.py").exists()
    ]
    return "| package | |\n|---|---|\n" + "".join(
        f"| `{folder.relative_to(ROOT)}/` | {text} |\n" for folder, text in rows
    )


def layers() -> str:
    """The layers to which import-linter holds packages, a block for each package."""
    blocks = []
    for package, rows in LAYERS.findall((ROOT / "pyproject.toml").read_text()):
        found = LAYER.findall(rows)
        width = max(len(names) for names, _ in found)
        lines = "".join(f"{names:<{width}}   {said}".rstrip() + "\n" for names, said in found)
        inside = f"Inside `{package}/`:\n\n" if package else ""
        blocks.append(f"{inside}```text\n{lines}```\n")
    return "\n".join(blocks)


def build() -> dict[str, str]:
    """File name in docs/ -> its new text."""
    head = (DOCS / "architecture.md").read_text().split(MARK)[0]
    head = DRAWN.sub(lambda found: f"{found[1]}{layers()}{found[2]}", head)
    tables = "".join(table(folder) for folder in folders())
    return {
        "architecture.md": f"{head}{MARK}\n[files.md](files.md) lists every file.\n\n{packages()}",
        "files.md": f"{HEAD}\n{tables.rstrip()}\n",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Generate the tables of docs/architecture.md and docs/files.md."
    )
    parser.add_argument("--out", type=pathlib.Path, default=DOCS)
    out = parser.parse_args().out
    for name, text in build().items():
        (out / name).write_text(text)


if __name__ == "__main__":
    main()
