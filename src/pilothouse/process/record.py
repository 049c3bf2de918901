"""Dataclasses with slots that a start makes in a third of the time.

`dataclass` compiles the methods of each class as it makes the class. Here classes share them, except for
`__init__`, which is compiled once there are more than FEW instances. Many classes of a start have none, or
one: the sections of a configuration, for example.
"""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

FEW = 3
"""Instances that are made without a method of their own. To compile one takes as long as fifty of these."""


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, eq: bool = True, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(field_specifiers=(field,))
def record(cls: type[T] | None = None, /, *, eq: bool = True, kw_only: bool = False) -> Any:
    """Make a dataclass with slots; `eq` compares instances by their fields, and then they have no hash."""
    return maker(eq=eq, kw_only=kw_only, hashed=False)(cls)


def maker(*, eq: bool, kw_only: bool, hashed: bool) -> Callable[[type | None], Any]:
    """A function that makes a dataclass of a class, and is a decorator without one. `hashed`: instances that
    are compared have a hash of their fields."""
    make = dataclass(slots=True, init=False, eq=False, repr=False, match_args=False, kw_only=kw_only)

    def made(cls: type) -> Any:
        cls.__doc__ = cls.__doc__ or cls.__name__  # else `dataclass` makes one of the signature
        return _finished(make(cls), eq=eq, hashed=hashed)

    return lambda cls: made if cls is None else made(cls)


def _finished(cls: Any, *, eq: bool, hashed: bool) -> Any:
    own = cls.__dict__
    if "__init__" not in own:
        cls.__init__ = _first(cls)
    if "__repr__" not in own:
        cls.__repr__ = _repr
    if eq and "__eq__" not in own:
        compared = fields(cls)
        cls.__compared__ = _getter(one.name for one in compared if one.compare)
        cls.__eq__, cls.__hash__ = _eq, None
        if hashed:
            keys = (one.name for one in compared if (one.compare if one.hash is None else one.hash))
            cls.__hashed__, cls.__hash__ = _getter(keys), _hash
    return cls


def _first(cls: Any) -> Callable[..., None]:
    """The `__init__` of the first instances of a class, which puts the compiled one in its place."""
    left = FEW

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0 and _filled(self, fields(cls), values, named):
            return
        cls.__init__ = _compiled(cls)
        cls.__init__(self, *values, **named)

    return __init__


def _filled(
    self: Any, known: "tuple[Field[Any], ...]", values: tuple[Any, ...], named: dict[str, Any]
) -> bool:
    """Set the fields of an instance as the compiled `__init__` would; False where that refuses the arguments,
    and nothing is set."""
    places = [one.name for one in known if one.init and not one.kw_only]
    given = dict(zip(places, values, strict=False)) | named
    wanted = {one.name for one in known if one.init}
    needed = (one.name for one in known if one.init and one.default is one.default_factory is MISSING)
    if len(given) < len(values) + len(named) or not wanted.issuperset(given) or not given.keys() >= {*needed}:
        return False
    for one in known:
        if one.name in given:
            setattr(self, one.name, given[one.name])
        elif one.default is not MISSING:
            setattr(self, one.name, one.default)
        elif one.default_factory is not MISSING:
            setattr(self, one.name, one.default_factory())
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _compiled(cls: Any) -> Callable[..., None]:
    """The `__init__` that `dataclass` would make."""
    outside: dict[str, Any] = {"MISSING": MISSING}
    positional, named, body = ["self"], ["*"], []
    for one in fields(cls):
        parameter, value = _parameter(one, outside)
        if one.init:
            (named if one.kw_only else positional).append(parameter)
        if value:
            body.append(f" self.{one.name} = {value}\n")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()\n")
    parameters = ", ".join(positional + (named if len(named) > 1 else []))
    exec(f"def __init__({parameters}):\n{''.join(body) or ' pass'}", outside)  # noqa: S102 -- names of fields
    made: Callable[..., None] = outside["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _parameter(one: "Field[Any]", outside: dict[str, Any]) -> tuple[str, str]:
    """The parameter of a field, and the expression of its value; default values are put outside."""
    name, default = one.name, f"_{one.name}"
    if one.default_factory is not MISSING:
        outside[default] = one.default_factory
        value = f"{default}() if {name} is MISSING else {name}" if one.init else f"{default}()"
        return f"{name}=MISSING", value
    if one.default is not MISSING:
        outside[default] = one.default
        return f"{name}={default}", name if one.init else default
    return name, name if one.init else ""


def _getter(names: Iterable[str]) -> Any:
    """A function of an instance that returns these fields."""
    found = tuple(names)
    return attrgetter(*found) if found else staticmethod(lambda one: ())


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return self is other or self.__compared__(self) == self.__compared__(other)


def _hash(self: Any) -> int:
    return hash(self.__hashed__(self))
