"""The environment of device selectors: types, and costs as upstream's compile_test.go has them."""

import pytest

from pilothouse.api.cel import ANY, BOOL, CompileError, Range, ResultError
from pilothouse.api.expressions import devices

ATTRIBUTES = 'device.attributes["dra.example.com"]'


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (("device", "driver"), 63),
        (("device", "allowMultipleAllocations"), 1),
        (("device", "attributes"), 32),
        (("device", "attributes", "@keys"), 63),
        (("device", "attributes", "@values"), 32),
        (("device", "attributes", "@values", "@keys"), 32),
        (("device", "attributes", "@values", "@values"), 64),
        (("device", "attributes", "@values", "model"), 64),
        (("device", "capacity", "@values", "@values"), 0),
        (("device", "capacity", "@values", "memory"), None),
        (("device", "other"), None),
        (("other",), None),
        ((), None),
    ],
)
def test_sizes(path: tuple[str, ...], most: int | None) -> None:
    assert devices.sizes(path) == (None if most is None else Range(0, most))


@pytest.mark.parametrize(
    ("expression", "most"),
    [
        ("true", 0),
        ('"no-such-domain" in device.attributes', 3),
        ('device.driver == "dra.example.com"', 4),
        (f"{ATTRIBUTES}.name", 4),
        (f'{ATTRIBUTES}["name"]', 4),
        (f"cel.bind(dra, {ATTRIBUTES}, dra.name)", 15),
        (f"{ATTRIBUTES}.name > 0", 5),
        (f'{ATTRIBUTES}.name == "fish"', 5),
        ("device.allowMultipleAllocations", 2),
        ("device.allowMultipleAllocations == true", 3),
    ],
)
def test_costs(expression: str, most: int) -> None:
    program = devices.environment().compile(expression, BOOL, ANY)
    assert program.estimate(devices.sizes).most == most


@pytest.mark.parametrize(
    "expression",
    [
        f'{ATTRIBUTES}.version.isGreaterThan(semver("1.2.3"))',
        'device.capacity["dra.example.com"].memory.isGreaterThan(quantity("1Gi"))',
        f'"model" in {ATTRIBUTES} && {ATTRIBUTES}.model.startsWith("A")',
        f"{ATTRIBUTES}.ids.size() == 2",
    ],
)
def test_functions_of_attributes(expression: str) -> None:
    assert devices.environment().compile(expression, BOOL, ANY).type is BOOL


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (
            f"{ATTRIBUTES}.ids.exists(id, id == 1)",
            "expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        (f'{ATTRIBUTES}.attr.includes("fish")', "undeclared reference to 'includes' (in container '')"),
        ("device.model", "undefined field 'model'"),
        ("object.spec", "undeclared reference to 'object' (in container '')"),
    ],
)
def test_what_does_not_compile(expression: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        devices.environment().compile(expression, BOOL, ANY)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "name"),
    [("1", "int"), ("dyn(true)", "dyn"), ("[device.driver]", "list(string)"), (f"{ATTRIBUTES}", "map")],
)
def test_what_gives_no_bool(expression: str, name: str) -> None:
    with pytest.raises(ResultError) as caught:
        devices.environment().compile(expression, BOOL, ANY)
    assert caught.value.found.declared_name.startswith(name)
