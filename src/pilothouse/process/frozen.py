"""Records that nobody changes once they are made.

The type checker holds them frozen, as it does for `@dataclass(frozen=True)`. At run time nothing does, so
their instances are made as fast as others.
"""

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypeVar, dataclass_transform, overload

from pilothouse.process.record import maker

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, eq: bool = True, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, eq: bool = True, kw_only: bool = False) -> Any:
    """Make a dataclass with slots; `eq` compares and hashes instances by their fields."""
    return maker(eq=eq, kw_only=kw_only, hashed=True)(cls)
