from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from pilothouse.process.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 0
    label: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)
    more: dict[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Reference:
    x: int
    y: int = 0
    label: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)
    more: dict[str, int] = field(default_factory=dict, hash=False)


@frozen
class Empty:
    pass


@frozen(eq=False)
class Identity:
    x: int


@frozen(kw_only=True)
class Named(Point):
    z: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"named {self.z}"


@frozen
class Own:
    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 1


CASES: list[tuple[Any, ...]] = [
    (1,),
    (1, 2),
    (2, 1),
    (1, 0, "a"),
    (1, 0, "b", "c"),
    (1, 0, "", "d"),
    (1, 0, "", "", {"a": 1}),
]


@pytest.mark.parametrize("one", CASES)
@pytest.mark.parametrize("other", CASES)
def test_instances_are_equal_as_those_of_a_frozen_dataclass(
    one: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    equal = Point(*one) == Point(*other)
    assert equal == (Reference(*one) == Reference(*other))
    alike = hash(Reference(*one)) == hash(Reference(*other))
    assert (hash(Point(*one)) == hash(Point(*other))) == alike


def test_instances_of_other_classes_are_not_equal() -> None:
    assert Point(1) != Reference(1)  # type: ignore[comparison-overlap]
    assert Point(1) != Named(x=1)
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())


def test_instances_are_shown_as_those_of_a_frozen_dataclass() -> None:
    assert repr(Point(1, 2, "a", "s")) == repr(Reference(1, 2, "a", "s")).replace("Reference", "Point")
    assert repr(Empty()) == "Empty()"


def test_what_a_class_defines_itself_stays() -> None:
    assert repr(Named(x=1, z=[2])) == "named [2]"
    assert Own(1) == Own(2)
    assert hash(Own(1)) == 1


def test_without_eq_an_instance_equals_itself_only() -> None:
    one = Identity(1)
    other = Identity(1)
    assert one != other
    assert {one, other, one} == {one, other}
    assert len({one, other, one}) == 2


def test_it_is_a_dataclass_with_slots() -> None:
    changed = replace(Point(1, 2), y=3)
    assert changed == Point(1, 3)
    assert [one.name for one in fields(Named)] == ["x", "y", "label", "secret", "more", "z"]
    with pytest.raises(AttributeError):
        changed.other = 1  # type: ignore[attr-defined]


def test_the_type_checker_refuses_a_change() -> None:
    """mypy warns of the comment when nothing is wrong with its line."""
    point = Point(1)
    point.x = 2  # type: ignore[misc]
    assert point == Point(2)
