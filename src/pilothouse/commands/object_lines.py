"""Objects as lines of YAML, of which each knows the field that it shows.

Members are in the order of their names, as kubectl prints them: they may be stored in any order.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from pilothouse.history.delta import Path
from pilothouse.history.paths import hidden

ODD = frozenset("\r\x85\u2028\u2029\ufeff")
"""Characters that end lines in YAML, or begin a file."""


class YAMLLine(NamedTuple):
    """One line. path: of the field whose value it shows, None for a line that only leads to others."""

    text: str
    path: Path | None


def lines(value: Any, path: Path = ()) -> Iterator[YAMLLine]:
    """The lines of an object or a list that is not empty, without the fields that tell nobody anything."""
    listed = isinstance(value, list)
    for step, each in enumerate(value) if listed else sorted(value.items()):
        at = (*path, step)
        if hidden(at):
            continue
        if not isinstance(each, dict | list) or not each:
            leaf = _Block(each) if isinstance(each, str) and "\n" in each.strip("\n") else each
            for text in _dumped([leaf] if listed else {step: leaf}):
                yield YAMLLine(text, at)
            continue
        if listed:
            first, rest = "- ", "  "
        else:
            *before, last = _dumped({step: {}})
            for text in before:
                yield YAMLLine(text, None)
            yield YAMLLine(last.removesuffix(" {}"), None)
            first = rest = "" if isinstance(each, list) else "  "
        for number, line in enumerate(lines(each, at)):
            yield YAMLLine(f"{rest if number else first}{line.text}", line.path)


class _Block(str):
    """A text of several lines, which YAML shows as such where it can."""


class _Dumper(yaml.SafeDumper):
    def text(self, value: str) -> yaml.ScalarNode:
        style = None if ODD.isdisjoint(value) else '"'
        if style is None and "\n" in value:
            style = "|" if isinstance(value, _Block) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", str(value), style=style)


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_representer(_Block, _Dumper.text)


def _dumped(value: Any) -> list[str]:
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1 << 30
    )
    return text.removesuffix("\n").split("\n")
