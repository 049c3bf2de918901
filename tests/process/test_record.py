from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import pytest

from pilothouse.process.record import FEW, record


def new_class() -> Any:
    """A record that has no instance yet."""

    @record
    class Item:
        name: str
        count: int = 1
        tags: list[str] = field(default_factory=list)
        note: str = field(default="", compare=False, repr=False)
        total: int = field(init=False)
        seen: list[str] = field(init=False, default_factory=list)
        state: str = field(init=False, default="new")
        kinds: ClassVar[int] = 3

        def __post_init__(self) -> None:
            self.total = self.count * 2

    return Item


@record
class Item:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)
    total: int = field(init=False)
    seen: list[str] = field(init=False, default_factory=list)
    state: str = field(init=False, default="new")
    kinds: ClassVar[int] = 3

    def __post_init__(self) -> None:
        self.total = self.count * 2


@dataclass(slots=True)
class Reference:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)
    total: int = field(init=False)
    seen: list[str] = field(init=False, default_factory=list)
    state: str = field(init=False, default="new")
    kinds: ClassVar[int] = 3

    def __post_init__(self) -> None:
        self.total = self.count * 2


@record(kw_only=True)
class Priced(Item):
    price: float
    currency: str = "EUR"


@record(eq=False)
class Node:
    name: str


@record
class Own:
    x: int

    def __init__(self, x: int) -> None:
        self.x = x + 1


@record
class Empty:
    pass


class Derived(Node):
    """A class that is no record inherits `__init__`."""


CASES: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", 2), {}),
    (("a",), {"count": 2}),
    (("a",), {"tags": ["x"], "note": "n"}),
    ((), {"name": "b", "note": "m"}),
]


@pytest.mark.parametrize(("values", "named"), CASES)
def test_instances_are_those_of_a_dataclass(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    reference, fresh = Reference(*values, **named), new_class()
    for _ in range(FEW + 2):
        made = fresh(*values, **named)
        for one in fields(Reference):
            assert getattr(made, one.name) == getattr(reference, one.name)
    assert repr(made) == repr(reference).replace("Reference", fresh.__qualname__)
    assert [made == fresh(*v, **n) for v, n in CASES] == [reference == Reference(*v, **n) for v, n in CASES]


def test_each_instance_has_its_own_default() -> None:
    assert Item("a").tags is not Item("a").tags
    assert Item("a").seen is not Item("a").seen


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", 1, [], "", 5), {}), (("a",), {"unknown": 1}), (("a",), {"name": "b"})],
)
def test_wrong_arguments_are_refused_as_by_a_dataclass(
    values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    with pytest.raises(TypeError) as expected:
        Reference(*values, **named)
    fresh = new_class()
    for _ in range(FEW + 2):
        with pytest.raises(TypeError) as raised:
            fresh(*values, **named)
        assert str(raised.value) == str(expected.value).replace("Reference", fresh.__qualname__)


def test_a_class_with_more_than_few_instances_has_its_init_compiled() -> None:
    fresh = new_class()
    before = fresh.__init__
    for number in range(FEW):
        assert fresh("a", number).total == 2 * number
        assert fresh.__init__ is before
    assert fresh("a", 9).total == 18
    after = fresh.__init__
    assert after is not before
    assert after.__qualname__.endswith("Item.__init__")
    assert fresh("a").total == 2
    assert fresh.__init__ is after


def test_a_record_extends_another() -> None:
    priced = Priced(name="a", price=2.5)
    assert (priced.name, priced.total, priced.price, priced.currency) == ("a", 2, 2.5, "EUR")
    with pytest.raises(TypeError):
        Priced("a", 1, [], "", 2.5)  # type: ignore[call-arg]


def test_another_class_inherits_from_a_record() -> None:
    assert Derived("a").name == "a"
    assert Node("b").name == "b"


def test_what_a_class_defines_itself_stays() -> None:
    assert Own(1).x == 2


def test_instances_that_are_compared_have_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Item("a"))
    assert len({Node("a"), Node("a")}) == 2


def test_it_is_a_dataclass_with_slots() -> None:
    item = Item("a")
    item.count = 5
    assert replace(Node("a"), name="b").name == "b"
    with pytest.raises(AttributeError):
        item.other = 1  # type: ignore[attr-defined]
    assert Empty() == Empty()
    assert Item.__doc__ == "Item"
