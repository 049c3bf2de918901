"""Rules for the source tree: docstrings, the map of files, a test for each file, sizes."""

import ast
import pathlib
import re

from syntax import parsed

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "src/pilothouse"
COMPILED = ROOT / "ext/pilothouse"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
PARTS = sorted(COMPILED.rglob("*.p*"))
MODULES = sorted(COMPILED.rglob("*.pyx"))
PACKAGES = sorted(PACKAGE.rglob("__init__.py"))
LINES = 600
GROUND_FLOOR = 13
"""Modules at most that are in no package."""
DOORS = {"deploy", "clients", "conformance", "docs", "e2e", "fuzz", "node", "quality"}
"""Folders of tests that are not about one module."""
FACES = {PACKAGE / "api/cel"}
"""Packages of which others import what their `__init__.py` names, and nothing else."""


def inside(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def listed() -> set[str]:
    """Every file that the map names, as a path inside the repository."""
    out: set[str] = set()
    folder = ""
    for line in (ROOT / "docs/files.md").read_text().splitlines():
        if heading := re.match(r"#+ `([^`]+/)`", line):
            folder = heading[1]
        elif row := re.match(r"\| (`[^|]*`) \|", line):
            out |= {folder + name for name in re.findall(r"`([^`]+)`", row[1])}
    return out


def test_the_map_lists_every_file_and_no_other() -> None:
    files = {inside(p) for p in (*FILES, *PARTS)}
    named = {name for name in listed() if name.startswith(("src/", "ext/"))}
    assert sorted(files - named) == [], "missing in docs/files.md: make map"
    assert sorted(named - files) == [], "only in docs/files.md: make map"


def test_packages_hold_a_docstring_only() -> None:
    """It says what lives there."""
    more = []
    for path in PACKAGES:
        first, *rest = parsed(path.read_text()).body
        if path.parent == PACKAGE:
            rest = [node for node in rest if not isinstance(node, ast.Assign)]  # the version
        if path.parent in FACES:
            rest = [node for node in rest if not isinstance(node, ast.ImportFrom | ast.Assign)]
        if rest or not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            more.append(inside(path))
    assert more == []


def test_modules_say_what_they_are_for() -> None:
    assert [inside(path) for path in FILES if not ast.get_docstring(parsed(path.read_text()))] == []


def test_files_can_be_read_in_one_sitting() -> None:
    sizes = {inside(p): p.read_text().count("\n") for p in (*FILES, *PARTS)}
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


def test_compiled_modules_have_stubs_and_are_built() -> None:
    for source in MODULES:
        folder = PACKAGE / source.parent.relative_to(COMPILED)
        assert (folder / f"{source.stem}.pyi").exists(), source.name
        assert list(folder.glob(f"{source.stem}.*.so")), f"{source.name} is not built"


def test_compiled_modules_are_told_apart_by_their_names() -> None:
    """PILOTHOUSE_ONLY and DECODERS of the Makefile name them without their packages."""
    assert len({source.stem for source in MODULES}) == len(MODULES)


def test_directives_stand_in_one_place() -> None:
    """A `# cython:` line would win over setup.py and leave a debug build without its checks."""
    assert [p.name for p in PARTS if re.search("^# *cython:", p.read_text(), re.M)] == []


def test_tests_mirror_the_tree() -> None:
    """A test file is named after the module, compiled module,
    tool, benchmark or helper of tests that it is about."""
    tests = ROOT / "tests"
    tools = {p.stem for folder in ("tools", "benchmarks") for p in (ROOT / folder).glob("*.py")}
    helpers = {p.stem for p in tests.glob("*.py")} - {p.stem for p in tests.glob("test_*.py")}
    strays = []
    for path in tests.rglob("test_*.py"):
        folder = path.parent.relative_to(tests)
        if folder.parts and folder.parts[0] in DOORS:
            continue
        compiled = {*(COMPILED / folder).glob("*.pyx"), *(COMPILED / folder.parent).glob("*.pyx")}
        modules = {p.stem for p in (PACKAGE / folder).glob("*.py")} | tools | helpers
        modules |= {p.stem.lstrip("_") for p in compiled}
        words = path.stem.removeprefix("test_").split("_")
        if not any("_".join(words[:n]) in modules for n in range(len(words), 0, -1)):
            strays.append(inside(path))
    assert strays == []


def test_every_package_has_tests() -> None:
    folders = {p.parent.relative_to(PACKAGE) for p in FILES if not p.is_relative_to(PACKAGE / "api/schemas")}
    assert sorted(str(f) for f in folders if not list((ROOT / "tests" / f).glob("test_*.py"))) == []


def test_the_ground_floor_is_small() -> None:
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert len(modules) <= GROUND_FLOOR, sorted(modules)
