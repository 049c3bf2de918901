"""`pilothouse blame`: an object as YAML, each line with the change that has set it."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.commands import history, object_lines, output, past
from pilothouse.commands.past import Past
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.history.paths import parsed

SERVER_FLAGS = past.SERVER_FLAGS
FLAGS = past.FLAGS
USAGE = """Show an object as YAML, each line with the change that has set it: its name, user, manager and age.

Usage:
  pilothouse blame KIND/NAME [-n NAMESPACE]

Lines with ? are older than the history, or nobody knows who has set them. Managed fields, generation and resourceVersion are left
out. -o wide adds the verb and the time; -o json has each field with all that is known of the change.
"""  # noqa: E501
UNKNOWN = "?"


def run(arguments: Sequence[str]) -> None:
    """Run the command; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    with shown("reading"), Past(config, values) as asked:
        target = asked.target(rest, "pilothouse blame")
        spec = {"resource": target.kind.resource, "namespace": target.namespace, "name": target.name}
        found = asked.review("blames", "Blame", spec)
    if form in ("json", "yaml"):
        print(output.document(found, form))
    else:
        print(text(found["status"]["fields"], wide=form == output.WIDE, colours=output.coloured()))


def text(fields: Sequence[Object], *, wide: bool = False, colours: bool = False) -> str:
    """The fields of a blame as lines. Those of the newest change stand out."""
    changes = {parsed(one["path"]): one for one in fields}
    newest = max((_revision(one) for one in fields), default=0)
    now = time.time()
    lines = [
        (line, None if line.path is None else changes[line.path])
        for line in object_lines.lines(_object(fields))
    ]
    heads = output.columns([list(_head(one, now, wide=wide)) for _, one in lines])
    width = max(map(len, heads))
    return "\n".join(
        output.painted(f"{head:{width}}", _tone(one, newest), colours) + f" │ {output.printable(line.text)}"
        for head, (line, one) in zip(heads, lines, strict=True)
    )


def _object(fields: Sequence[Object]) -> Any:
    """The object that consists of fields: each is either a member or the next element of a list."""
    root: list[Any] = [None]
    for one in fields:
        place: Any = root
        last: int | str = 0
        for step in parsed(one["path"]):
            if place[last] is None:
                place[last] = [] if isinstance(step, int) else {}
            place, last = place[last], step
            if isinstance(step, int) and step == len(place):
                place.append(None)
            elif isinstance(step, str):
                place.setdefault(step, None)
        place[last] = one["value"]
    return root[0]


def _head(change: Object | None, now: float, *, wide: bool) -> Iterator[str]:
    """The cells at the left of a line."""
    if change is None:
        yield from [""] * (6 if wide else 4)
        return
    known = "revision" in change
    yield f"r{change['revision']}" if known else UNKNOWN
    yield history.user(change) if known else ""
    yield change.get("manager", "")
    if wide:
        yield change.get("verb", "")
        yield change.get("time", "")
    yield history.age(change, now) if known else ""


def _revision(change: Object) -> int:
    return int(change.get("revision", 0))


def _tone(change: Object | None, newest: int) -> str:
    return output.YELLOW if change is not None and newest and _revision(change) == newest else output.DIM
