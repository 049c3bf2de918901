"""Tests neither wait for real time nor change our modules:
they hand in a clock, a loop, a store or a function.

Functions of the code fit on a page, and calls say what they pass. Exceptions from rules have reasons.
"""

import ast
import functools
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from syntax import parsed

TESTS = pathlib.Path(__file__).parents[1]
LONGEST = 0.01
"""Seconds that a test may sleep: a turn of the loop, or a poll of another process."""

REPLACES = ("setattr", "setitem", "delattr", "delitem")

SLEEPS = {
    "deploy/test_monitoring.py": "asks a Prometheus that hears of something every two seconds",
    "eventually.py": "looks at other processes less often the longer it waits",
    "e2e/moving.py": "writes at a rate, against servers in other processes",
    "e2e/test_connections.py": "opens connections at a rate, against a server in another process",
    "e2e/draining.py": "sends requests at a rate, against servers in other processes",
    "e2e/test_clusters_conformance.py": "writes at a rate, against a server in another process",
    "e2e/flooding.py": "does not read for a while, and floods a server in another process",
    "e2e/test_tenants.py": "reads at a rate beside a flood, against a server in another process",
    "e2e/test_ha.py": "kills and pauses processes for a random while",
    "fuzz/hostile_streams.py": "is a kubelet in another process that does not read for a while",
    "fuzz/test_budgets.py": "looks at the memory of a server in another process until it rises no more",
    "fuzz/test_bystander_turns.py": "lets a server in another process work on what it was sent",
    "fuzz/test_bystander_webhooks.py": "writes at a rate, against a server in another process",
    "fuzz/test_watching.py": "lets a server in another process stand still for a while",
    "e2e/test_clusters_floods.py": "reads at a rate beside a flood, against a server in another process",
    "e2e/test_clusters_kills.py": "writes at a rate, against a server in another process that is killed",
    "e2e/test_clusters_etcd_kills.py": "writes at a rate, against servers that are killed and paused",
    "e2e/test_history_kills.py": "writes at a rate, against a server in another process that is killed",
    "e2e/writing.py": "writes at a rate, against servers in other processes",
    "server/test_upgrade.py": "sleeps in virtual time",
    "simulate/simulated.py": "sleeps in virtual time",
    "simulate/test_clock.py": "sleeps in virtual time",
    "storage/etcd/test_session.py": "sleeps in virtual time",
    "virtual_time.py": "sleeps in virtual time",
}
PATCHES = {
    "assembly/test_server_failures.py": (
        "the directory of temporary files, which Python keeps for the whole process"
    ),
    "commands/test_history.py": "a terminal, which tests have none of",
    "e2e/test_clusters_conformance.py": "the command line, which run.py reads",
    "e2e/quick_history.py": "how late the history of a server in a process of its own is",
    "outbound/test_kubeconfig.py": "the directory of temporary files as well",
    "server/test_openssl.py": "a version of Python that no machine here has",
    "server/test_receive_buffer.py": "an older kernel, and what the kernel is told about sockets",
    "storage/test_backends.py": "a kind of store that no release has",
    "test_cli.py": "a package that is not installed",
}
FILES = sorted(TESTS.rglob("*.py"))
ROOT = TESTS.parent
CODE = sorted(
    path for folder in ("benchmarks", "loadtest", "src", "tools") for path in (ROOT / folder).rglob("*.py")
)
SOURCE = [path for path in CODE if path.is_relative_to(ROOT / "src")]
BARE = re.compile(r"# noqa(?!: (?:E402|E501)\b)(?!: [A-Z0-9, ]+ -- \w)")
"""E402: an import behind what makes it possible. E501: a text that is printed as it stands."""
LINES = 60
"""Lines of the longest function, its docstring counted."""
LONG: dict[str, str] = {}
POSITIONAL = 6
"""Arguments of a call that may go without their names."""
NAMELESS = {
    "_Pattern": "examples of what matches",
    "_query": "parameters, one a line",
    "_read": "arguments of the function that it calls",
    "_to": "types that it converts",
    "d.change": "rules of the update of an object",
    "decode_on": "arguments of the function that it calls",
    "work.run": "arguments of the function that it calls",
}
"""Functions that take any number of arguments."""
MANY = {
    "src/pilothouse/endpoints/request/attributes.py": "done for every request: names cost 1 % of a get",
}


def dotted(node: ast.expr) -> str:
    """A name with its attributes as it is written, `*` for anything else that attributes are taken of."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, name):
            return f"{dotted(value)}.{name}"
    return "*"


def constants(tree: ast.Module) -> dict[str, float]:
    """The numbers that have a name in a module."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, (int, float))
    }


@functools.lru_cache(maxsize=1)
def walked(tree: ast.Module) -> list[ast.AST]:
    """All nodes of the latest tree: walking takes longer than looking, and ast.walk longer still."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes += [item for item in value if isinstance(item, ast.AST)]
    return nodes


def sleeps(tree: ast.Module) -> Iterator[int]:
    """The lines that sleep longer than LONGEST, or nobody knows how long."""
    named = constants(tree)
    for node in walked(tree):
        if not isinstance(node, ast.Call) or not node.args or not dotted(node.func).endswith("sleep"):
            continue
        seconds = node.args[0]
        known = named.get(seconds.id) if isinstance(seconds, ast.Name) else getattr(seconds, "value", None)
        if not isinstance(known, (int, float)) or known > LONGEST:
            yield node.lineno


def patches(tree: ast.Module) -> Iterator[int]:
    """The lines that replace something: by pytest's monkeypatch,
    by mock, or by an assignment in a module of ours."""
    ours: set[str] = set()
    nodes = walked(tree)
    for node in nodes:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        module = (node.module or "") + "." if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            name = module + alias.name
            if "mock" in name.split("."):
                yield node.lineno
            if name.startswith("pilothouse"):
                ours.add(alias.asname or alias.name.partition(".")[0])
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if dotted(node.func.value) == "monkeypatch" and node.func.attr in REPLACES:
                yield node.lineno
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and dotted(target.value).partition(".")[0] in ours:
                    yield node.lineno


def bare_exceptions(text: str) -> list[int]:
    """The lines that are excepted from a rule without a reason."""
    return [at for at, line in enumerate(text.splitlines(), 1) if BARE.search(line)]


def long_functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The functions that have more than LINES lines, and how many."""
    for node in walked(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > LINES:
                yield node.name, lines


def nameless_arguments(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """The lines of calls with more than POSITIONAL arguments without a name, and how many they have."""
    for node in walked(tree):
        match node:
            case ast.Call(function, arguments) if len(arguments) > POSITIONAL:
                if dotted(function) not in NAMELESS:
                    yield node.lineno, len(arguments)


@functools.cache
def found_in(path: pathlib.Path) -> dict[Callable[..., Any], list[Any]]:
    """All that is found in a file, by what finds it: a file is read once, and its tree is not kept."""
    tree = parsed(path.read_text())
    finders = (sleeps, patches) if path.is_relative_to(TESTS) else (long_functions, nameless_arguments)
    return {finds: sorted(finds(tree)) for finds in finders}


@pytest.mark.parametrize(("finds", "excused"), [(sleeps, SLEEPS), (patches, PATCHES)])
def test_nothing_sleeps_or_patches(
    finds: Callable[[ast.Module], Iterator[int]], excused: dict[str, str]
) -> None:
    found: dict[str, list[int]] = {}
    for path in FILES:
        if lines := found_in(path)[finds]:
            found[str(path.relative_to(TESTS))] = lines
    assert not found.keys() - excused.keys(), {k: v for k, v in found.items() if k not in excused}
    assert not excused.keys() - found.keys(), "an excuse that nobody needs any more"


def test_both_are_found() -> None:
    text = """
import time
from pilothouse import pki
from pilothouse.api.changes import patch
WAIT = 0.5
def test(monkeypatch):
    time.sleep(WAIT)
    asyncio.sleep(0)
    time.sleep(0.01)
    asyncio.sleep(2 * x)
    monkeypatch.setattr(pki, "X", 1)
    monkeypatch.setenv("X", "1")
    patch.MAX = 3
"""
    tree = ast.parse(text)
    assert sorted(sleeps(tree)) == [7, 10]
    assert sorted(patches(tree)) == [11, 13]


@pytest.mark.parametrize(
    ("finds", "files", "excused"), [(long_functions, CODE, LONG), (nameless_arguments, SOURCE, MANY)]
)
def test_functions_are_short_and_calls_name_their_arguments(
    finds: Callable[[ast.Module], Iterator[tuple[Any, int]]],
    files: list[pathlib.Path],
    excused: dict[str, str],
) -> None:
    every = {str(path.relative_to(ROOT)): found_in(path)[finds] for path in files}
    found = {name: places for name, places in every.items() if places}
    assert not found.keys() - excused.keys(), {k: v for k, v in found.items() if k not in excused}
    assert not excused.keys() - found.keys(), "an excuse that nobody needs any more"


def test_long_functions_are_found() -> None:
    text = "class A:\n    async def short(self):\n" + "        x\n" * 59
    text += "    def long(self):\n        def inner():\n" + "            x\n" * 59
    assert list(long_functions(ast.parse(text))) == [("long", 61)]


def test_nameless_arguments_are_found() -> None:
    text = "f(1, 2, 3, 4, 5, 6, a=7)\n_query(1, 2, 3, 4, 5, 6, 7)\na.f(1, 2, 3, 4, 5, 6, *x)\n"
    assert list(nameless_arguments(ast.parse(text))) == [(3, 7)]


def test_exceptions_from_rules_have_reasons() -> None:
    files = [*CODE, *FILES, ROOT / "setup.py"]
    found = {str(path.relative_to(ROOT)): bare_exceptions(path.read_text()) for path in files}
    del found["tests/quality/test_habits.py"]
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_exceptions_without_reasons_are_found() -> None:
    lines = (
        "a  # noqa",
        "b  # noqa: S101",
        "c  # noqa: S1, PT2 -- so",
        "d  # noqa: E501",
        "e  # noqa: S1 (so)",
    )
    text = "\n".join(lines)
    assert bare_exceptions(text) == [1, 2, 5]
