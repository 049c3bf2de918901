"""Regular expressions that a start does not compile."""

import re
from typing import Any, AnyStr, cast


class _Uncompiled:
    """Stands for a compiled expression, whose members become its own when they are first used."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


def pattern(text: AnyStr, flags: int = 0) -> "re.Pattern[AnyStr]":
    """An expression that is compiled when it is first used: a module has it as a global without cost."""
    return cast("re.Pattern[AnyStr]", _Uncompiled(text, flags))
