"""The admission plugins that installed packages offer."""

import pathlib
import sys

import pytest

from pilothouse.configuration.checks import check
from pilothouse.configuration.config import Config, all_flags
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


TEAM = Offered("TeamLabels", "x:Y", "teams 1.0")


def plugin_problems(config: Config, *packages: Offered) -> list[str]:
    return list(check(config, all_flags(), lambda: list(packages)))


def test_flags_name_them_as_built_in_ones() -> None:
    on, off = (
        Config(enable_admission_plugins=("TeamLabels",)),
        Config(disable_admission_plugins=("TeamLabels",)),
    )
    assert plugin_problems(on, TEAM) == plugin_problems(off, TEAM) == []
    assert plugin_problems(on) == ['enable-admission-plugins plugin "TeamLabels" is unknown']
    assert plugin_problems(off) == ['disable-admission-plugins plugin "TeamLabels" is unknown']


def test_names_are_used_once() -> None:
    on = Config(enable_admission_plugins=("Priority",))
    assert plugin_problems(on, Offered("Priority", "x:Y", "mine 1.0")) == [
        'the package mine 1.0 offers an admission plugin "Priority": so is a built-in one called'
    ]
    assert plugin_problems(on, TEAM, TEAM._replace(package="other 2.0")) == [
        'the packages teams 1.0 and other 2.0 both offer an admission plugin "TeamLabels"'
    ]


def test_packages_are_looked_for_only_where_flags_may_mean_them() -> None:
    def fail() -> list[Offered]:
        raise AssertionError

    for config in (Config(), Config(disable_admission_plugins=("Priority",))):
        assert list(check(config, all_flags(), fail)) == []
    assert "importlib.metadata" not in vars(sys.modules["pilothouse.configuration.entry_points"])
