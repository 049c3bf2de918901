from collections.abc import Callable, Iterator
from typing import Any

INT_MIN: int
INT_MAX: int
UINT_MAX: int
TIME_MIN: int
TIME_MAX: int
NONE: Optional

class EvaluationError(Exception):
    cost: int

class CostLimitExceeded(EvaluationError): ...
class UInt(int): ...

class Timestamp:
    ns: int
    offset: int
    def __init__(self, ns: int, offset: int = 0) -> None: ...
    def __hash__(self) -> int: ...

class Duration:
    ns: int
    def __init__(self, ns: int) -> None: ...
    def __hash__(self) -> int: ...

class Optional:
    present: bool
    value: Any
    def __init__(self, value: Any) -> None: ...

class TypeValue:
    name: str
    def __init__(self, name: str) -> None: ...
    def __hash__(self) -> int: ...

class Opaque:
    type_name: str
    cost_size: int

class Struct:
    type_name: str
    fields: dict[str, Any]
    def __init__(self, type_name: str, fields: dict[str, Any]) -> None: ...
    def __hash__(self) -> int: ...

class Lookup:
    def find(self, name: str) -> Any: ...

class Shape:
    name: str
    plain: bool
    def __init__(
        self,
        name: str,
        fields: dict[str, Shape] | None = None,
        items: Shape | None = None,
        keys: tuple[str, ...] = (),
    ) -> None: ...

class MapView:
    value: dict[str, Any]
    shape: Shape
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...

class ListView:
    value: list[Any]
    shape: Shape
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...

class Node: ...

class Const(Node):
    value: Any
    def __init__(self, value: Any) -> None: ...

class Var(Node):
    def __init__(self, slot: int, name: str) -> None: ...

class Select(Node):
    def __init__(
        self, operand: Node, key: str, shown: str, typed: bool, optional: bool, whole: bool
    ) -> None: ...

class Has(Node):
    def __init__(self, operand: Node, key: str, typed: bool) -> None: ...

class Index(Node):
    def __init__(self, operand: Node, key: Node, optional: bool) -> None: ...

class And(Node):
    def __init__(self, terms: list[Node]) -> None: ...

class Or(Node):
    def __init__(self, terms: list[Node]) -> None: ...

class Not(Node):
    def __init__(self, operand: Node) -> None: ...

class Condition(Node):
    def __init__(self, test: Node, yes: Node, no: Node) -> None: ...

class NewList(Node):
    def __init__(self, items: list[Node], optional: frozenset[int]) -> None: ...

class NewMap(Node):
    def __init__(self, keys: list[Node], values: list[Node], optional: frozenset[int]) -> None: ...

class NewStruct(Node):
    def __init__(self, name: str, names: list[str], values: list[Node], optional: frozenset[int]) -> None: ...

class Equals(Node):
    def __init__(self, left: Node, right: Node, negated: bool) -> None: ...

class Order(Node):
    def __init__(self, operator: str, left: Node, right: Node) -> None: ...

class Arithmetic(Node):
    def __init__(self, operator: str, left: Node, right: Node) -> None: ...

class Negate(Node):
    def __init__(self, operand: Node) -> None: ...

class In(Node):
    def __init__(self, item: Node, container: Node) -> None: ...

class InConstants(Node):
    def __init__(self, item: Node, values: list[Any]) -> None: ...

class TextTest(Node):
    def __init__(self, operator: str, target: Node, argument: Node) -> None: ...

class Size(Node):
    def __init__(self, operand: Node) -> None: ...

class Candidate:
    def __init__(
        self,
        function: Callable[..., Any] | None,
        guards: tuple[str | None, ...] | None,
        cost: int | Callable[..., int],
    ) -> None: ...

class Call(Node):
    def __init__(self, name: str, arguments: list[Node], candidates: list[Candidate]) -> None: ...

class Otherwise(Node):
    def __init__(self, target: Node, other: Node, unwrap: bool) -> None: ...

class Fold(Node):
    def __init__(
        self, range: Node, first: int, second: int, test: Node | None, value: Node | None
    ) -> None: ...

class Quantifier(Fold):
    def __init__(self, range: Node, first: int, second: int, test: Node, decisive: bool) -> None: ...

class ExistsOne(Fold):
    def __init__(
        self, range: Node, first: int, second: int, test: Node | None, value: Node | None
    ) -> None: ...

class ToList(Fold):
    def __init__(self, range: Node, first: int, second: int, test: Node | None, value: Node) -> None: ...

class ToMap(Fold):
    def __init__(
        self, range: Node, first: int, second: int, test: Node | None, value: Node, entry: bool
    ) -> None: ...

class Bind(Node):
    def __init__(self, slot: int, init: Node, body: Node) -> None: ...

def run(
    node: Node,
    names: tuple[str, ...],
    shapes: tuple[Shape | None, ...],
    slots: int,
    bindings: dict[str, Any],
    limit: int,
) -> tuple[Any, int]: ...
def register_readers(
    timestamp: Callable[[str], Any],
    date: Callable[[str], Any],
    duration: Callable[[str], Any],
    data: Callable[[str], Any],
) -> None: ...
def register_writers(number: Callable[[float], str], go_type: Callable[[Any], str]) -> None: ...
def view(value: Any, shape: Shape) -> Any: ...
def unwrapped(value: Any) -> Any: ...
def type_name(value: Any) -> str: ...
def size_of(value: Any) -> int: ...
def show(value: Any) -> str: ...
def equal(left: Any, right: Any) -> bool: ...
def order(left: Any, right: Any) -> int: ...
def total(left: Any, right: Any) -> Any: ...
def items_of(value: Any) -> list[Any]: ...
def entries_of(value: Any) -> list[tuple[Any, Any]]: ...
