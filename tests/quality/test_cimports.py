"""Compiled modules import, cimport and are imported downwards only,
which import-linter does not see, and cimport in no circle."""

import pathlib
import re
import tomllib
from collections.abc import Iterator

from quality.test_cycles import COMPILED, cycles, imports, module_of, source_of

ROOT = pathlib.Path(__file__).parents[2]
IMPORT = re.compile(r"^\s*(?:from\s+(pilothouse\.[\w.]+)|c?import\s+(pilothouse\.[\w.]+))", re.M)
CIMPORT = re.compile(r"^\s*(?:from\s+(pilothouse\.[\w.]+)\s+cimport|cimport\s+(pilothouse\.[\w.]+))", re.M)
Ranks = dict[str, dict[str, int]]


def texts() -> dict[str, str]:
    """Compiled module -> its source: declarations, code and what the code includes."""
    out: dict[str, str] = {}
    for path in sorted(COMPILED.rglob("*.p[xy][xd]")):
        out[module_of(path)] = out.get(module_of(path), "") + source_of(path)
    return out


def imported(text: str, pattern: re.Pattern[str]) -> set[str]:
    return {one or other for one, other in pattern.findall(text)}


def ranks() -> Ranks:
    """Package -> its parts, and their layers from the highest to the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        package: {name: rank for rank, layer in enumerate(one["layers"]) for name in layer.split(" | ")}
        for one in contracts
        for package in one.get("containers", ())
    }


def part(module: str, package: str) -> str:
    """The part of a package that a module is in, "" when it is outside."""
    return module.removeprefix(f"{package}.").partition(".")[0] if module.startswith(f"{package}.") else ""


def climbs(module: str, other: str, layers: Ranks) -> bool:
    """Whether an import leads upwards or to a part that stands beside.

    A compiled module directly in a package may import the lowest layer of it, and all parts may import it.
    """
    for package, rank in layers.items():
        here, there = part(module, package), part(other, package)
        if here and here != there and there in rank and rank[there] <= rank.get(here, max(rank.values()) - 1):
            return True
    return False


def arrows() -> Iterator[tuple[str, str]]:
    """The imports by compiled modules, and those of compiled modules by others."""
    compiled = texts()
    for module, text in compiled.items():
        yield from ((module, other) for other in imported(text, IMPORT))
    for module, others in imports().items():
        yield from ((module, other) for other in others & compiled.keys())


def test_every_compiled_module_is_in_a_package() -> None:
    packages = ranks()["pilothouse"].keys()
    modules = [module_of(path) for path in COMPILED.rglob("*.pyx")]
    assert modules
    assert [name for name in modules if part(name, "pilothouse") not in packages] == []


def test_compiled_modules_are_imported_downwards_only() -> None:
    layers, found = ranks(), set(arrows())
    assert ("pilothouse.api.meta", "pilothouse.api._uuid") in found
    assert ("pilothouse.server._http1", "pilothouse.server._answers") in found
    assert (
        sorted(f"{module} imports {other}" for module, other in found if climbs(module, other, layers)) == []
    )


def test_no_circle_of_cimports() -> None:
    graph = {module: imported(text, CIMPORT) - {module} for module, text in texts().items()}
    assert "pilothouse.api._json" in graph["pilothouse.storage._entry"]
    assert "pilothouse._clock" in graph["pilothouse.server._turns"]
    assert cycles(graph) == []


def test_what_climbs() -> None:
    layers = {"p": {"storage": 0, "api": 1, "server": 1}, "p.api": {"codec": 0, "json": 1}}
    assert climbs("p.api._x", "p.storage._y", layers) and climbs("p.api._x", "p.server._y", layers)
    assert not climbs("p.storage._y", "p.api._x", layers) and not climbs("p.api._x", "p.api._y", layers)
    assert climbs("p.api._x", "p.api.codec", layers) and climbs("p.api.json.a", "p.api.codec._y", layers)
    assert not climbs("p.api._x", "p.api.json", layers)
    assert not climbs("p.api.json", "p.api._x", layers)
    assert not climbs("p.api.json.a", "p.api.json._y", layers)
    assert not climbs("p.server._y", "p._clock", layers) and climbs("p._clock", "p.storage._y", layers)
