"""`pilothouse diff`: how an object has changed between two times, as a unified diff of YAML."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.commands import history, object_lines, output, past
from pilothouse.commands.api import ApiError
from pilothouse.commands.past import HistoryTarget, Past
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.history._delta import difference
from pilothouse.history.changes import MOST_DELTA, field
from pilothouse.history.delta import differences
from pilothouse.history.paths import hidden

SERVER_FLAGS = past.SERVER_FLAGS
FLAGS = (
    *past.FLAGS,
    Flag("at", "string", "", "command", "The first time (RFC 3339), or how long ago, such as 1h30m."),
    Flag("to", "string", "", "command", "The second time, or how long ago. Default: now."),
)
USAGE = """Show how an object has changed, as a unified diff of YAML.

Usage:
  pilothouse diff KIND/NAME                    By its last change.
  pilothouse diff KIND/NAME --at 1h            Since an hour ago.
  pilothouse diff KIND/NAME --at 1h --to 10m   Between two times.
  pilothouse diff CHANGE                       By a change that `pilothouse history` has listed, such as r205.

Managed fields, generation and resourceVersion are left out. -o json and yaml: the fields that differ, with both values.
The exit status is 0 when there is no difference, 1 when there is one, and 2 when the command fails.
"""  # noqa: E501
FAILED = 2
"""The exit status of a failure: 1 says that there is a difference."""
TONES = {"+": output.GREEN, "-": output.RED, "@": output.CYAN}


class Side(NamedTuple):
    """One of the two: what to say of it, and the object, None when it was not there."""

    said: str
    obj: Object | None

    @property
    def version(self) -> str:
        """The resourceVersion, "" of what was not there."""
        return str(self.obj["metadata"]["resourceVersion"]) if self.obj is not None else ""


def run(arguments: Sequence[str]) -> int:
    """Run the command, and say whether there is a difference; raises FlagError, ConfigError, OSError,
    ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    if values["to"] and not values["at"]:
        raise FlagError("--to needs --at")
    with shown("reading"), Past(config, values) as asked:
        target, sides = _asked(asked, values, rest)
    fields = changed(*(side.obj for side in sides))
    if form in ("json", "yaml"):
        place = {"resource": target.kind.resource, "namespace": target.namespace, "name": target.name}
        ends = {name: side.version for name, side in zip(("from", "to"), sides, strict=True)}
        print(output.document({"object": place, **ends, "fields": fields}, form))
    else:
        for line in unified(target.shown, *sides, colours=output.coloured()):
            print(line)
    return int(bool(fields))


def _asked(
    past: Past, values: Mapping[str, Any], words: Sequence[str]
) -> tuple[HistoryTarget, tuple[Side, Side]]:
    """The object, and what it was and is."""
    if len(words) == 1 and _is_change(words[0]):
        if values["at"]:
            raise FlagError("--at is for an object, not for a change")
        change = past.change(words[0])
        return _by(past, _target(past, change), change)
    target = past.target(words, "pilothouse diff")
    if not values["at"]:
        return _by(past, target, past.of(target)[0])
    sides = [_side(past, target, values[name]) for name in ("at", "to")]
    if sides[0].obj is None and sides[1].obj is None:
        raise ApiError(f"{target.shown} was not there", 404)
    return target, (sides[0], sides[1])


def _is_change(word: str) -> bool:
    return past.CHANGE.fullmatch(word) is not None


def _target(asked: Past, change: Object) -> HistoryTarget:
    return past.target_of(change, asked)


def _by(asked: Past, target: HistoryTarget, change: Object) -> tuple[HistoryTarget, tuple[Side, Side]]:
    """The object before and after a change."""
    revision, name = int(change["revision"]), change["metadata"]["name"]
    before, after = (asked.object(target, past.exact(each)) for each in (revision - 1, revision))
    made = f"{name} by {history.user(change)} at {change['time']}"
    return target, (Side(f"before {name}", before), Side(made, after))


def _side(past: Past, target: HistoryTarget, at: str) -> Side:
    said = ("at " if at[:4].isdigit() and "-" in at else "") + (at or "now")
    return Side(said if not at or said != at else f"{at} ago", past.object(target, {"at": at} if at else {}))


def changed(old: Object | None, new: Object | None) -> list[Object]:
    """The fields that differ, as in a Change."""
    if old is None or new is None:
        return [] if old is new else [{"path": ".", **({"old": old} if new is None else {"new": new})}]
    delta = difference(orjson.dumps(old), orjson.dumps(new), MOST_DELTA)
    assert delta is not None
    return [field(one) for one in differences(orjson.loads(delta)) if not hidden(one.path)]


def unified(name: str, old: Side, new: Side, *, colours: bool = False) -> Iterator[str]:
    """The lines of a unified diff."""
    before, after = (
        [] if side.obj is None else [output.printable(line.text) for line in object_lines.lines(side.obj)]
        for side in (old, new)
    )
    heads = f"{name}\t{old.said}", f"{name}\t{new.said}"
    for number, line in enumerate(difflib.unified_diff(before, after, heads[0], heads[1], lineterm="")):
        tone = output.BOLD if number < 2 else TONES.get(line[0], "")
        yield output.painted(line, tone, colours)
