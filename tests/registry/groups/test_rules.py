import pathlib

import pytest
from quality.test_imports import python

from pilothouse.api import validate
from pilothouse.api.validate import node_labels
from pilothouse.api.validate.pod import visit
from pilothouse.registry.groups import rules

FOLDER = pathlib.Path(rules.__file__).parent


def test_a_module_of_rules_is_an_attribute() -> None:
    assert rules.node_labels is node_labels
    assert rules.pod_visit is visit
    assert vars(rules)["pod_visit"] is visit


def test_what_is_no_module_of_rules_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no module of rules is named podium"):
        getattr(rules, "podium")  # noqa: B009 -- mypy knows that it is none
    assert not hasattr(rules, "pod_")


def test_a_module_that_a_module_of_rules_lacks_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lacking.py").write_text("import pilothouse.gone")
    validate.__path__.append(str(tmp_path))
    try:
        with pytest.raises(ModuleNotFoundError, match="gone"):
            getattr(rules, "lacking")  # noqa: B009 -- mypy knows that it is none
    finally:
        validate.__path__.remove(str(tmp_path))


def test_the_catalog_is_made_without_rules() -> None:
    """Except for those that hold types or constants which strategies are made with."""
    program = (
        "import sys; from pilothouse.registry.catalog import default_catalog; default_catalog();"
        "print(*(m for m in sys.modules if m.startswith('pilothouse.api.validate.')))"
    )
    found = {name.removeprefix("pilothouse.api.validate.") for name in python("-c", program).stdout.split()}
    assert found <= {"common", "pod", "pod.policy", "pod.templates", "remembered", "shown"}


def test_every_module_that_is_named_for_the_type_checker_is_there() -> None:
    listed = (FOLDER / "rules.py").read_text().partition("else:")[0].split("import (")[1:]
    names = [
        line.split(" as ")[-1].strip(" ,") for part in listed for line in part.partition(")")[0].split("\n")
    ]
    assert len([name for name in names if name]) > 40
    for name in filter(None, names):
        assert getattr(rules, name).__name__.endswith(name.replace("pod_", "pod.").replace("crd_", "crd."))
