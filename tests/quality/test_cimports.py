"""Compiled modules import and cimport downwards only,
which import-linter does not see, and cimport in no circle."""

import pathlib
import re
import tomllib

from count_packages import MODULES
from quality.test_cycles import cycles

ROOT = pathlib.Path(__file__).parents[2]
COMPILED = ROOT / "ext/pilothouse"
IMPORT = re.compile(r"^\s*(?:from\s+pilothouse\.([\w.]+)|c?import\s+pilothouse\.([\w.]+))", re.M)
CIMPORT = re.compile(r"^\s*(?:from\s+pilothouse\.(\w+)\s+cimport|cimport\s+pilothouse\.(\w+))", re.M)
INCLUDE = re.compile(r'^include "(?:pilothouse/)?(\w+\.pxi)"', re.M)


def texts() -> dict[str, str]:
    """Compiled module -> its source: declarations, code and what the code includes."""
    out: dict[str, str] = {}
    for path in sorted(COMPILED.glob("*.p[xy][xd]*")):
        text = path.read_text()
        if path.suffix != ".pxi":
            parts = "".join((COMPILED / name).read_text() for name in INCLUDE.findall(text))
            out[path.stem] = out.get(path.stem, "") + text + parts
    return out


def imported(text: str, pattern: re.Pattern[str]) -> set[str]:
    return {one or other for one, other in pattern.findall(text)}


def ranks() -> dict[str, int]:
    """Package -> its layer, from the highest to the lowest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == ["pilothouse"]]
    return {name: rank for rank, layer in enumerate(layers) for name in layer.split(" | ")}


def climbs(package: str, other: str, rank: dict[str, int]) -> bool:
    """Whether an import leads upwards or to a package that stands beside."""
    return package != other and rank[other] <= rank[package]


def test_every_compiled_module_has_a_package() -> None:
    assert {path.stem for path in COMPILED.glob("*.pyx")} == MODULES.keys()
    assert {*MODULES.values()} <= ranks().keys()


def test_compiled_modules_import_lower_layers_only() -> None:
    rank = ranks()
    found = [
        f"{module} ({MODULES[module]}) imports {other}"
        for module, text in texts().items()
        for other in imported(text, IMPORT)
        if module in MODULES  # the others are declarations of C alone
        and (package := MODULES.get(other, other.partition(".")[0])) in rank
        and climbs(MODULES[module], package, rank)
    ]
    assert found == []


def test_no_circle_of_cimports() -> None:
    graph = {module: imported(text, CIMPORT) - {module} for module, text in texts().items()}
    assert "_json" in graph["_entry"] and "_clock" in graph["_turns"]
    assert cycles(graph) == []


def test_what_climbs() -> None:
    rank = {"storage": 0, "api": 1, "server": 1}
    assert climbs("api", "storage", rank) and climbs("api", "server", rank)
    assert not climbs("storage", "api", rank) and not climbs("api", "api", rank)
