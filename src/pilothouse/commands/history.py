"""`pilothouse history`: which changes there were, by whom; `history purge` forgets those of an object."""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.api.values.times import to_seconds
from pilothouse.commands import output, past
from pilothouse.commands.past import Past
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest
from pilothouse.registry.printers.common import human_duration

SERVER_FLAGS = (*past.SERVER_FLAGS, "encryption-provider-config", "etcd-prefix")
USAGE = """Tell who changed what and when, the newest first. The server keeps it with --history.

Usage:
  pilothouse history                   The changes in a namespace.
  pilothouse history KIND/NAME         Those of one object; of all objects of a kind without /NAME.
  pilothouse history -A                Those of all namespaces, and of objects without one.
  pilothouse history purge KIND/NAME   Forget all changes of an object for good, in the file of --data-dir,
                                       or one --field in all of them. Changes that are encrypted need
                                       --encryption-provider-config for that.

KIND is a plural, singular, short name or kind, as in deployments, deploy or deployments.apps. `pilothouse blame`, `diff`, `undo`
and `restore` do more with a change or an object.
"""  # noqa: E501

MOST = 50
FLAGS = (
    *past.FLAGS,
    Flag("all-namespaces", "bool", False, "command",
         "Changes of all namespaces, and of objects without one.", short="A"),
    Flag("user", "string", "", "command", "Changes by this user."),
    Flag("manager", "string", "", "command", "Changes by this field manager."),
    Flag("path", "string", "", "command",
         "Changes of this field or of one below it, such as .spec.replicas."),
    Flag("since", "string", "", "command",
         "Changes since a time (RFC 3339), or since so long ago, such as 1h30m."),
    Flag("until", "string", "", "command", "Changes until a time, or until so long ago."),
    Flag("limit", "int", MOST, "command", "Changes at most."),
    Flag("field", "string", "", "command",
         "Of purge: forget only this field, such as .data.password or .spec.list[*].name."),
    Flag("yes", "bool", False, "command",
         "Of purge: forget them. Without it, purge says what it would forget."),
)  # fmt: skip
COLOURS = {"Created": output.GREEN, "Deleted": output.RED}


def run(arguments: Sequence[str]) -> None:
    """Run the command; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    if rest and rest[0] == "purge":
        from pilothouse.commands import history_purge  # takes long to import: the catalog

        history_purge.run(config, values, rest[1:])
        return
    if len(rest) == 2 and "/" in rest[1] and (near := nearest(rest[0], ("purge",))):
        raise FlagError(f'unknown command "{rest[0]}" for "pilothouse history"', near)
    if values["limit"] < 1:
        raise FlagError("--limit must be positive")
    everywhere = values["all-namespaces"]
    with shown("reading"), Past(config, values) as asked:
        found, more = _changes(asked, values, rest)
        warnings = asked.warnings
    for text in warnings:
        print(f"Warning: {text}", file=sys.stderr)
    if form in ("json", "yaml"):
        answer = {"apiVersion": f"{past.GROUP}/v1", "kind": "ChangeList", "items": found}
        print(output.document(answer, form))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and form != output.WIDE else 0
    print(
        table(found, wide=form == output.WIDE, namespaces=everywhere, width=width, colours=output.coloured())
    )
    if more:
        print("(there are more: --limit)")


def _changes(past: Past, values: dict[str, Any], words: Sequence[str]) -> tuple[list[Object], bool]:
    """The changes that the command line chooses, and whether there are more."""
    selector = {name: values[name] for name in ("user", "manager", "path")}
    query = {name: values[name] for name in ("since", "until") if values[name]}
    limit = values["limit"]
    namespaces: list[str | None] = [None, ""] if values["all-namespaces"] else [past.namespace]
    if words:
        target = past.target_or_kind(words, "pilothouse history")
        selector |= {"object.resource": target.kind.resource, "object.name": target.name}
        namespaces = [namespaces[0] if target.kind.namespaced else ""]
    lists = [past.changes(one, selector, query, limit) for one in namespaces]
    found = sorted((change for changes, _ in lists for change in changes), key=_place, reverse=True)
    return found[:limit], len(found) > limit or any(more for _, more in lists)


def _place(change: Object) -> tuple[int, ...]:
    """Where a change is among all: its name is its revision and its place in it."""
    return tuple(map(int, change["metadata"]["name"][1:].split(".")))


def table(
    changes: Sequence[Object],
    *,
    wide: bool = False,
    namespaces: bool = False,
    width: int = 0,
    colours: bool = False,
) -> str:
    """Changes as a table. wide: all that is known of an author. width: of the longest line, 0 for any."""
    head = ["NAME", "TIME" if wide else "AGE", "USER", "VERB", "OBJECT", "CHANGE"]
    if namespaces:
        head.insert(4, "NAMESPACE")
    if wide:
        head[-1:-1] = ["MANAGER", "ADDRESS", "AUDIT-ID"]
    now = time.time()
    lines = output.columns([head, *(_row(one, now, wide=wide, namespaces=namespaces) for one in changes)])
    if width:
        lines = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    tones = [output.BOLD, *(COLOURS.get(one["operation"], "") for one in changes)]
    return "\n".join(output.painted(line, tone, colours) for line, tone in zip(lines, tones, strict=True))


def _row(change: Object, now: float, *, wide: bool, namespaces: bool) -> list[str]:
    place = change["object"]
    row = [change["metadata"]["name"], change["time"] if wide else age(change, now), user(change)]
    row.append("/".join(filter(None, (change.get("verb"), change.get("subresource")))) or "-")
    if namespaces:
        row.append(place.get("namespace", ""))
    row.append(f"{place['resource']}/{place['name']}")
    if wide:
        row += [change.get("manager", ""), ",".join(change.get("sourceIPs", ())), change.get("auditID", "")]
    return [*row, change["summary"]]


def age(change: Object, now: float) -> str:
    """How long ago a change was made."""
    return human_duration(now - to_seconds(change["time"]))


def user(change: Object) -> str:
    """The name of the user, - where it is not known."""
    if "authorUnknown" in change:
        return "(another server)"
    return str(change.get("user", {}).get("username", "-"))
