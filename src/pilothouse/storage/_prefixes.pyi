from typing import TypeVar, overload

_T = TypeVar("_T")
_D = TypeVar("_D")

@overload
def longest(values: dict[str, _T], key: str, default: None = None) -> _T | None: ...
@overload
def longest(values: dict[str, _T], key: str, default: _D) -> _T | _D: ...
