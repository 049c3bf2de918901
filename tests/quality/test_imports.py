"""Import rules between layers, and import of each module alone."""

import ast
import json
import pathlib
import subprocess
import sys
from functools import cache

import pytest
from quality.test_cycles import files, reached
from syntax import parsed

SRC = pathlib.Path(__file__).parents[2] / "src"
ALONE = """
import gc, json, os, sys
gc.disable()  # a collection would write to what each process shares with the one before
import aiohttp, cryptography.x509, httptools, joserfc.jwt, orjson, re2, uvloop, yaml  # they take longest
def grow(module):
    # A fork costs more than an import: the last module is imported in the process of the one below it.
    while module is not None:
        try:
            module and __import__(module)
        except BaseException as err:
            print(f"{module}: {err!r}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
        *some, module = above.get(module) or [None]
        for one in some:
            child = os.fork()
            if not child:
                grow(one)
                os._exit(0)
            os.waitpid(child, 0)
above = json.load(sys.stdin)
grow("")
"""


@cache
def at_once(path: pathlib.Path) -> set[str]:
    """The modules of ours that a file imports whenever it is imported itself:
    those that stand outside of every block."""
    found: set[str] = set()
    for node in parsed(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def growing() -> dict[str, list[str]]:
    """Module -> those that are imported in a process which has imported this one, "" for none of ours.

    A module is imported after the largest that it imports itself, so the process has nothing that the module
    does not bring, and nothing is imported hundreds of times.
    """
    every = files()
    known = {
        module: path for module, path in every.items() if path.name not in ("__main__.py", "__init__.py")
    }
    python = {module for module, path in known.items() if path.suffix == ".py"}
    direct = {module: at_once(known[module]) & python - {module} for module in python}
    size = {module: len(reached(direct, module)) for module in python}
    out: dict[str, list[str]] = {"": sorted(every.keys() - python - {"pilothouse.__main__"})}
    for module in sorted(python):
        parent = max(sorted(direct[module]), key=size.__getitem__, default="")
        out.setdefault(parent, []).append(module)
    return out


def python(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_layers() -> None:
    program = pathlib.Path(sys.executable).with_name("lint-imports")
    root = SRC.parent
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_every_module_can_be_imported_alone() -> None:
    """In a process that has nothing of ours but what the module imports itself, with warnings as errors."""
    done = python("-W", "error", "-c", ALONE, given=json.dumps(growing()))
    assert not done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_every_module_is_imported() -> None:
    """Once, and after one that it imports itself;
    the process of a module whose import fails tries no others."""
    above, known = growing(), files()
    assert sorted(module for some in above.values() for module in some) == sorted(
        known.keys() - {"pilothouse.__main__"}
    )
    assert all(
        parent in at_once(known[module]) for parent, some in above.items() if parent for module in some
    )
    bad = {"": ["math", "nothing"], "math": ["missing", "json"], "nothing": ["never"]}
    told = python("-c", ALONE, given=json.dumps(bad)).stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["missing", "nothing"]
