"""The admission plugins that installed packages offer."""

import pathlib

import pytest

from pilothouse.configuration.entry_points import Offered, offered


def install(where: pathlib.Path, package: str, points: str) -> str:
    info = where / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    return str(where)


def test_entry_points_are_found(tmp_path: pathlib.Path) -> None:
    first = install(
        tmp_path / "a", "one", "[console_scripts]\nx = y:z\n[pilothouse.admission]\nB = b.c:D.E\nA = a:A\n"
    )
    hidden = install(tmp_path / "b", "one", "[pilothouse.admission]\nC = c:C\n")
    other = install(tmp_path / "c", "two", "[console_scripts]\nx = y:z\n")
    assert offered([first, hidden, other]) == [
        Offered("A", "a:A", "one 1.0"),
        Offered("B", "b.c:D.E", "one 1.0"),
    ]
    assert offered([other]) == []


def test_what_is_offered_is_loaded() -> None:
    assert Offered("x", "pathlib:Path.home", "p").load() == pathlib.Path.home
    with pytest.raises(ModuleNotFoundError):
        Offered("x", "no_such_module:X", "p").load()
