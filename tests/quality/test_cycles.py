"""No import cycles between files; counts imports inside functions, for types only and of compiled modules."""

import ast
import pathlib
import re
from collections.abc import Iterator
from functools import cache

from syntax import parsed

ROOT = pathlib.Path(__file__).parents[2]
SOURCE = ROOT / "src"
COMPILED = ROOT / "ext"

_IMPORT = re.compile(
    r"^\s*(?:from\s+(pilothouse[\w.]*)\s+c?import\s+\(?([\w, ]*)|c?import\s+(pilothouse[\w.]*))", re.M
)
_INCLUDE = re.compile(r'^include "([\w/]+\.pxi)"', re.M)


def files() -> dict[str, pathlib.Path]:
    """Module -> its source."""
    out = {}
    for path in (SOURCE / "pilothouse").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out | {module_of(path): path for path in COMPILED.rglob("*.pyx")}


def module_of(path: pathlib.Path) -> str:
    """The compiled module that a file of ext/ is the source or the declarations of."""
    return ".".join(path.relative_to(COMPILED).with_suffix("").parts)


def source_of(path: pathlib.Path) -> str:
    """A file of ext/ with what it includes, beside itself or from ext/."""
    text = path.read_text()
    parts = [(path.parent / name, COMPILED / name) for name in _INCLUDE.findall(text)]
    return text + "".join((near if near.exists() else far).read_text() for near, far in parts)


def _of_python(path: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(parsed(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports name the whole module"
            yield node.module, [alias.name for alias in node.names]


def _of_cython(path: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    for origin, names, module in _IMPORT.findall(source_of(path)):
        yield origin or module, [name.strip() for name in names.split(",") if name.strip()]


@cache
def imports() -> dict[str, set[str]]:
    """Module -> the modules that it imports, anywhere in it."""
    known = files()
    out: dict[str, set[str]] = {}
    for module, path in known.items():
        found = (_of_cython if path.suffix == ".pyx" else _of_python)(path)
        out[module] = set()
        for origin, names in found:
            inner = {f"{origin}.{name}" for name in names} & known.keys()
            out[module] |= inner
            if origin in known and (not names or len(inner) < len(names)):
                out[module].add(origin)
        out[module].discard(module)
    return out


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which is reached from each other one."""
    after = {module: reached(graph, module) for module in graph}
    groups = {frozenset(m for m in after[one] if one in after[m]) for one in graph if one in after[one]}
    return sorted(sorted(group) for group in groups)


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """The modules that are reached from one, and it itself only by a cycle."""
    out: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - out
        out |= new
        waiting += new
    return out


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {module: set(found) for module, found in imports().items()}
    assert cycles(graph) == []


def test_imports_of_all_kinds_are_seen() -> None:
    graph = imports()
    assert "pilothouse.assembly.process" in graph["pilothouse.cli"], "inside a function"
    assert "pilothouse.configuration.config" in graph["pilothouse.cli"], "for types only"
    assert "pilothouse.api._json" in graph["pilothouse.endpoints.answers._listbody"], "of a compiled module"
    assert "pilothouse.api.json" not in graph["pilothouse.lifecycle"]
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]
