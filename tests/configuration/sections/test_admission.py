"""Flags that name admission plugins of installed packages."""

import sys

from pilothouse.configuration.entry_points import Offered
from pilothouse.configuration.sections.admission import AdmissionOptions

TEAM = Offered("TeamLabels", "x:Y", "teams 1.0")


def faults(options: AdmissionOptions, *packages: Offered) -> list[str]:
    return list(options.plugin_faults(lambda: list(packages)))


def test_flags_name_them_as_built_in_ones() -> None:
    on, off = (
        AdmissionOptions(enable_admission_plugins=("TeamLabels",)),
        AdmissionOptions(disable_admission_plugins=("TeamLabels",)),
    )
    assert faults(on, TEAM) == faults(off, TEAM) == []
    assert faults(on) == ['enable-admission-plugins plugin "TeamLabels" is unknown']
    assert faults(off) == ['disable-admission-plugins plugin "TeamLabels" is unknown']


def test_names_are_used_once() -> None:
    on = AdmissionOptions(enable_admission_plugins=("Priority",))
    assert faults(on, Offered("Priority", "x:Y", "mine 1.0")) == [
        'the package mine 1.0 offers an admission plugin "Priority": so is a built-in one called'
    ]
    assert faults(on, TEAM, TEAM._replace(package="other 2.0")) == [
        'the packages teams 1.0 and other 2.0 both offer an admission plugin "TeamLabels"'
    ]


def test_packages_are_looked_for_only_where_flags_may_mean_them() -> None:
    def fail() -> list[Offered]:
        raise AssertionError

    for options in (AdmissionOptions(), AdmissionOptions(disable_admission_plugins=("Priority",))):
        assert list(options.plugin_faults(fail)) == []
    assert "importlib.metadata" not in vars(sys.modules["pilothouse.configuration.entry_points"])
