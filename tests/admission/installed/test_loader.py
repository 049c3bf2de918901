"""Plugins that flags have named are imported and configured, or the start ends."""

from typing import Any, ClassVar

import pytest

from pilothouse.admission.api import AdmissionRequest, Plugin
from pilothouse.admission.configuration import AdmissionConfiguration
from pilothouse.admission.installed.loader import load_hosted
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.entry_points import Offered


class Good(Plugin):
    resources: ClassVar[Any] = ("pods",)
    configuration_schema: ClassVar[Any] = {
        "type": "object",
        "properties": {"most": {"type": "integer", "default": 3}},
    }

    def mutate(self, request: AdmissionRequest) -> None:
        return None

    def validate(self, request: AdmissionRequest) -> None:
        return None


class Picky(Good):
    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        if configuration["most"] > 3:
            raise ValueError("most: Invalid value: 4: must be at most 3")
        if configuration["most"] < 3:
            raise KeyError("most")


class Idle(Plugin):
    resources = ("pods",)


class Nowhere(Good):
    resources = ()


class Texts(Good):
    reads: ClassVar[Any] = "namespaces"


class Odd(Good):
    operations: ClassVar[Any] = ("PATCH",)


class Endless(Good):
    seconds = 31


class Unsure(Good):
    failure_policy: ClassVar[Any] = "Maybe"


def load(name: str, section: Any = None, value: str = "") -> Any:
    configuration = AdmissionConfiguration({name: section} if section is not None else {})
    package = Offered(name, value or f"{__name__}:{name}", "some-package 1.0")
    others = Offered("Other", "no.such.module:Other", "other 2.0")
    return load_hosted({name}, configuration, AdmissionMetrics(), packages=[others, package])


def test_a_plugin_gets_its_section() -> None:
    for section, most in ((None, 3), ({"most": 2}, 2)):
        mutating, validating = load("Good", section)
        assert mutating.name == validating.name == "Good"
        assert mutating.host.plugin.configuration == {"most": most}


def test_a_plugin_that_nobody_names_is_not_imported() -> None:
    packages = [Offered("Other", "no.such.module:Other", "other 2.0")]
    assert load_hosted([], AdmissionConfiguration(), AdmissionMetrics(), packages=packages) == []


@pytest.mark.parametrize(
    ("name", "section", "value", "problem"),
    [
        ("Good", {"most": "x"}, "", 'most: Invalid value: "string"'),
        ("Good", {"mots": 1}, "", 'strict decoding error: unknown field "mots"'),
        ("Picky", {"most": 4}, "", "most: Invalid value: 4: must be at most 3"),
        ("Picky", {"most": 2}, "", "KeyError: 'most'"),
        (
            "Good",
            None,
            "no.such.module:Good",
            "no.such.module:Good cannot be imported: ModuleNotFoundError: No module named 'no'",
        ),
        ("Good", None, "json:Good", "json:Good cannot be imported: AttributeError"),
        ("Good", None, "json:dumps", "json:dumps is no subclass of pilothouse.admission.api.Plugin"),
        ("Idle", None, "", "it has neither `mutate` nor `validate`"),
        ("Nowhere", None, "", "`resources` is empty"),
        ("Texts", None, "", "`reads` must be a sequence of texts"),
        ("Odd", None, "", '`operations`: "PATCH" is none of CREATE, UPDATE, DELETE, CONNECT'),
        ("Endless", None, "", "`seconds` must be above 0 and at most 30"),
        ("Unsure", None, "", "`failure_policy` must be Fail or Ignore"),
    ],
)
def test_what_cannot_be_used_ends_the_start(name: str, section: Any, value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(name, section, value)
    assert str(caught.value).startswith(f'admission plugin "{name}" of the package some-package 1.0: ')
    assert problem in str(caught.value)
