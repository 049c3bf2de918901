"""The types of expressions, and which is assignable to which (cel-go checker/types.go, mapping.go)."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class CelType:
    """A type: `kind` tells the sort, `params` are the types it is made of.

    fields: of a struct, by the names that expressions use;
    None when it has whatever fields are asked for, as dyn.
    """

    __slots__ = ("fields", "kind", "name", "open", "params", "text")

    def __init__(self, kind: str, name: str = "", params: tuple["CelType", ...] = ()) -> None:
        self.kind = kind
        self.name = name or kind
        self.params = params
        self.fields: Mapping[str, StructField] | None = None
        self.open: bool = kind == "param" or any(one.open for one in params)
        self.text = self._text()

    def _text(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(one.text for one in self.params)})"

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    @property
    def runtime_name(self) -> str:
        """The name that values of the type tell, without the types that it is made of."""
        return _RUNTIME_NAMES.get(self.kind, self.name)

    @property
    def id_name(self) -> str:
        """The name in the identifiers of signatures."""
        return f"{self.name}64" if self.kind in ("int", "uint") else self.name

    @property
    def declared_name(self) -> str:
        """The name in messages about the type of a whole
        expression (cel-go Type.String, not FormatCELType)."""
        if not self.params:
            return self.runtime_name
        return f"{self.runtime_name}({', '.join(one.declared_name for one in self.params)})"

    @property
    def is_dynamic(self) -> bool:
        return self.kind in ("dyn", "any", "error")


_RUNTIME_NAMES = {
    "any": "google.protobuf.Any",
    "duration": "google.protobuf.Duration",
    "null": "null_type",
    "timestamp": "google.protobuf.Timestamp",
}


class StructField(NamedTuple):
    """A field of a struct: its type, and the member of the object that it stands for."""

    type: CelType
    key: str


BOOL, INT, UINT, DOUBLE = CelType("bool"), CelType("int"), CelType("uint"), CelType("double")
STRING, BYTES, NULL = CelType("string"), CelType("bytes"), CelType("null")
TIMESTAMP, DURATION = CelType("timestamp"), CelType("duration")
DYN, ANY, ERROR, TYPE = CelType("dyn"), CelType("any"), CelType("error", "!error!"), CelType("type")
COMPARABLE = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)
"""The types whose values have an order."""

_SCALARS = frozenset(("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "any"))
_NULLABLE = frozenset(("opaque", "struct", "any", "duration", "timestamp", "null"))


def list_of(items: CelType) -> CelType:
    return CelType("list", params=(items,))


def map_of(keys: CelType, values: CelType) -> CelType:
    return CelType("map", params=(keys, values))


def param(name: str) -> CelType:
    """A type parameter of a function, or a type that is not known yet."""
    return CelType("param", name)


def opaque(name: str, *params: CelType) -> CelType:
    """A type of a library that is known by its name."""
    return CelType("opaque", name, params)


def optional_of(value: CelType) -> CelType:
    return opaque("optional_type", value)


def type_of(type: CelType) -> CelType:
    """The type of a type."""
    return CelType("type", params=(type,))


def struct(name: str, fields: Mapping[str, StructField] | None) -> CelType:
    """An object type; without `fields` it has whatever fields are asked for."""
    out = CelType("struct", name)
    out.fields = fields
    return out


def object_type(name: str, /, **members: CelType) -> CelType:
    """An object type of Kubernetes; each field reads the member of its own name."""
    return struct(f"kubernetes.{name}", {key: StructField(type, key) for key, type in members.items()})


def unwrap(type: CelType) -> tuple[CelType, bool]:
    """The type inside an optional one, and whether it was one."""
    if type.kind == "opaque" and type.name == "optional_type":
        return type.params[0], True
    return type, False


def same(left: CelType, right: CelType) -> bool:
    return left is right or (left.kind == right.kind and left.text == right.text)


class Substitutions:
    """The types that type parameters stand for, found while an expression is checked."""

    __slots__ = ("bound", "free")

    def __init__(self) -> None:
        self.bound: dict[str, CelType] = {}
        self.free = 0

    def unknown(self) -> CelType:
        """A type that is not known yet."""
        self.free += 1
        return param(f"_var{self.free - 1}")

    def instance(self, names: Collection[str], types: Iterable[CelType]) -> tuple[CelType, ...]:
        """The types with a type that is not known yet in place of each of these parameters."""
        if not names:
            return tuple(types)
        fresh = Substitutions()
        fresh.bound = {name: self.unknown() for name in names}
        return tuple(map(fresh.substitute, types))

    def assignable(self, source: CelType, target: CelType) -> bool:
        """Whether one type is assignable to the other; what parameters stand for is kept if so."""
        if not source.open and not target.open:
            return _fits(self.bound, source, target)
        return self.all_assignable((source,), (target,))

    def all_assignable(self, sources: Iterable[CelType], targets: Iterable[CelType]) -> bool:
        """The same for lists of one length."""
        bound = dict(self.bound)
        for source, target in zip(sources, targets, strict=True):
            if not _fits(bound, source, target):
                return False
        self.bound = bound
        return True

    def substitute(self, type: CelType, dynamic: bool = False) -> CelType:
        """The type with its parameters replaced; with `dynamic`, unknown ones by dyn."""
        if not type.open:
            return type
        if type.kind == "param":
            found = self.bound.get(type.name)
            if found is not None:
                return self.substitute(found, dynamic)
            return DYN if dynamic else type
        return CelType(type.kind, type.name, tuple(self.substitute(one, dynamic) for one in type.params))


def _fits(bound: dict[str, CelType], source: CelType, target: CelType) -> bool:
    """cel-go internalIsAssignable."""
    if target.kind == "param":
        valid, known = _stands_for(bound, source, target)
        if valid or known:
            return valid
    if source.kind == "param":
        return _stands_for(bound, target, source)[0]
    if source.is_dynamic or target.is_dynamic:
        return True
    if source.kind == "null" or target.kind == "null":
        return (target if source.kind == "null" else source).kind in _NULLABLE
    if source.kind != target.kind:
        return False
    if source.kind in _SCALARS or source.kind == "type":
        return True
    if source.kind == "struct":
        return source.name == target.name
    if source.name != target.name or len(source.params) != len(target.params):
        return False
    return all(_fits(bound, one, other) for one, other in zip(source.params, target.params, strict=True))


def _stands_for(bound: dict[str, CelType], type: CelType, parameter: CelType) -> tuple[bool, bool]:
    """Whether the parameter can stand for the type, and whether it stood for one before."""
    if same(type, parameter):
        return True, True
    found = bound.get(parameter.name)
    if found is not None:
        if same(type, found):
            return True, True
        if not _fits(bound, type, found):
            return False, True
        wider = most_general(type, found)
        if _not_within(bound, parameter, wider):
            bound[parameter.name] = wider
        return True, True
    if _not_within(bound, parameter, type):
        bound[parameter.name] = type
        return True, False
    return False, False


def _not_within(bound: dict[str, CelType], parameter: CelType, type: CelType) -> bool:
    if same(parameter, type):
        return False
    if type.kind == "param":
        found = bound.get(type.name)
        return found is None or _not_within(bound, parameter, found)
    return all(_not_within(bound, parameter, one) for one in type.params)


def most_general(left: CelType, right: CelType) -> CelType:
    """The more general of two types that are assignable to each other."""
    return left if _is_no_narrower(left, right) else right


def _is_no_narrower(left: CelType, right: CelType) -> bool:
    if left.kind in ("dyn", "any", "param"):
        return True
    if right.kind in ("dyn", "any", "param") or left.kind != right.kind:
        return False
    if left.kind == "type":
        return True
    if left.kind in ("opaque", "list", "map"):
        return (
            left.name == right.name
            and len(left.params) == len(right.params)
            and all(_is_no_narrower(one, other) for one, other in zip(left.params, right.params, strict=True))
        )
    return same(left, right)
