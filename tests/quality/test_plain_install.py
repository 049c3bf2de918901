"""A plain install imports its dependencies and nothing else, apart from what an extra brings."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
from syntax import parsed

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "authn/external_signer.py": "kms",
    "storage/etcd/": "etcd",
    "commands/checkup.py": "etcd",
    "commands/etcd.py": "etcd",
    "outbound/konnectivity.py": "etcd",
    "commands/bench.py": "cli",
    "commands/progress.py": "cli",
    "commands/top_screen.py": "cli",
    "storage/encryption/kms/": "kms",
    "storage/encryption/": "secretbox",
    "tracing/": "tracing",
    "testing/": "dev",
}
"""The files that import packages of an extra.
Commands and flags that lead there name the extra when it is missing."""


def names(requirements: list[str]) -> set[str]:
    """The normalized names of distributions (PEP 503)."""
    return {normalized(re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0]) for one in requirements}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: pathlib.Path) -> Iterator[str]:
    """The top-level packages that a file imports, also within functions; not those for types only."""
    nodes = list(ast.walk(parsed(path.read_text())))
    typing = {
        inner
        for node in nodes
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in nodes:
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_a_plain_install_has_all_that_is_imported() -> None:
    """So exec, logs, webhooks and aggregated servers take no extra."""
    plain, known = names(PROJECT["dependencies"]), packages_distributions()
    extras = {extra: names(wanted) for extra, wanted in PROJECT["optional-dependencies"].items()}
    used: set[str] = set()
    source = ROOT / "src" / "pilothouse"
    for path in sorted(source.rglob("*.py")):
        place = str(path.relative_to(source))
        extra = next((extra for start, extra in EXTRAS.items() if place.startswith(start)), "")
        for package in set(imported(path)) - sys.stdlib_module_names - {"pilothouse"}:
            distributions = {normalized(name) for name in known[package]}
            assert distributions & (plain | extras.get(extra, set())), f"{place} imports {package}"
            used |= distributions
    assert plain <= used, "a dependency that nothing imports"


def test_the_page_says_what_each_dependency_is_for() -> None:
    """Tables of docs/install.md name the packages of a plain install, and those of each extra."""
    page = (ROOT / "docs/install.md").read_text()
    part = page.partition("### What each dependency is for\n")[2].partition("\n### ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", part, re.M)]
    plain = [row[0] for row in rows if len(row) == 2][2:]
    assert names(", ".join(plain).split(", ")) == names(PROJECT["dependencies"])
    extras = {row[0].strip("`"): names(row[1].split(", ")) for row in rows if len(row) == 3 and "`" in row[0]}
    wanted = {extra: names(packages) for extra, packages in PROJECT["optional-dependencies"].items()}
    assert extras == {extra: wanted[extra] for extra in wanted if extra not in {"dev", "load", "bench"}}


WITHOUT = """
import sys

sys.modules |= dict.fromkeys(("grpc", "etcd3", "nacl", "opentelemetry", "rich"))
from pilothouse import cli

sys.exit(cli.main(sys.argv[1:]))
"""
"""A command of the package where no extra is installed."""


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("serve --etcd-servers=http://127.0.0.1:1", "etcd"),
        ("serve --service-account-issuer=https://a --service-account-signing-endpoint=/nowhere", "kms"),
        ("etcd status --etcd-servers=http://127.0.0.1:1", "etcd"),
        ("snapshot save file --etcd-servers=http://127.0.0.1:1", "etcd"),
    ],
)
def test_an_error_names_the_extra_that_is_missing(command: str, extra: str, tmp_path: pathlib.Path) -> None:
    words = [*command.split(), f"--data-dir={tmp_path}"] if command.startswith("serve") else command.split()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.search(rf"pip install '?pilothouse\[{extra}\]", done.stderr), done.stderr
