"""Caches values that passed a rule, because pods made from one template have the same parts."""

from collections.abc import Callable
from typing import Any

import orjson

from pilothouse.api.values.fields import Errors
from pilothouse.caches import KnownTexts

REMEMBERED = 1024
"""Values that are remembered per rule; all are dropped when there are more."""
LARGEST = 1024
"""Longest value that is remembered, in characters of JSON."""


class RememberedRule:
    """A rule (value, path, errs, *context) that is evaluated once per JSON value and context.

    The rule must depend on nothing else. Only valid values are remembered, so paths do not matter.
    """

    __slots__ = ("_known", "_rule")

    def __init__(self, rule: Callable[..., None]) -> None:
        self._rule = rule
        self._known = KnownTexts("pod_parts", LARGEST, REMEMBERED)

    def __call__(self, value: Any, path: str, errs: Errors, *context: Any) -> None:
        text = orjson.dumps(value).decode()  # orjson's bytes objects take 4 KB, however short
        if ((text, *context) if context else text) in self._known:
            return
        before = len(errs)
        self._rule(value, path, errs, *context)
        if len(errs) == before:
            self._known.keep(text, *context)
