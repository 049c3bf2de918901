"""Rules that remember what they had nothing against: the pods of one template bring the same parts again and again."""

from collections.abc import Callable
from typing import Any

import orjson

from pilothouse.api.fields import Errors
from pilothouse.caches import Known

REMEMBERED = 1024
"""Values of each rule; when there are more, all are forgotten."""
LARGEST = 1024
"""Characters of a value that is remembered; larger ones are asked about each time."""


class RememberedRule:
    """A rule (value, path, errs, *context) that is asked once for each JSON value in each context.

    The rule must depend on nothing else. Only values without a cause are remembered, so paths do not matter.
    """

    __slots__ = ("_known", "_rule")

    def __init__(self, rule: Callable[..., None]) -> None:
        self._rule = rule
        self._known = Known("pod_parts", LARGEST, REMEMBERED)

    def __call__(self, value: Any, path: str, errs: Errors, *context: Any) -> None:
        text = orjson.dumps(value).decode()  # the bytes of orjson take 4 KB, however short they are
        if ((text, *context) if context else text) in self._known:
            return
        before = len(errs)
        self._rule(value, path, errs, *context)
        if len(errs) == before:
            self._known.keep(text, *context)
