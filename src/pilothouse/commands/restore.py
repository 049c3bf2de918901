"""`pilothouse restore`: makes an object, or the objects of a namespace, as they were."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.commands import outcomes, output, past
from pilothouse.commands.past import HistoryTarget, Past
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = past.SERVER_FLAGS
FLAGS = (
    *past.FLAGS,
    Flag("all", "bool", False, "command", "All objects of the namespace, and the namespace itself."),
    Flag("selector", "string", "", "command", "Objects that had these labels, such as app=web.", short="l"),
    Flag("resources", "strings", (), "command", "Objects of these kinds, such as deploy,svc,cm."),
    Flag("at", "string", "", "command", "The time (RFC 3339), or how long ago, such as 1h30m."),
    Flag("revision", "string", "", "command", "The resourceVersion, in place of a time: 205 or r205."),
    Flag("prune", "bool", False, "command", "Delete objects that were not there then."),
    Flag("dry-run", "bool", False, "command", "Ask the server what it would do."),
)
USAGE = """Make objects as they were: those that are gone are created, others get the fields that they had.

Usage:
  pilothouse restore KIND/NAME --at 1h         One object.
  pilothouse restore -n NAMESPACE --all        All objects of a namespace, as they were before it was deleted.
  pilothouse restore -n NAMESPACE --all --at 1h
                                               The same, as they were at a time.
  pilothouse restore -n NAMESPACE --resources=deploy,cm -l app=web --at 1h
                                               Some of them.

Without --at and --revision, what has been deleted comes back as it was before. These are ordinary writes of yours, with admission,
quota and audit, by the field manager `history`. Pods, ReplicaSets and whatever else a controller makes are left to it.
The exit status is 1 when an object could not be written.
"""  # noqa: E501
NAMESPACE = "namespaces"
LOOKED_AT = 1000
"""Changes of an object among which its deletion is looked for."""


def run(arguments: Sequence[str]) -> int:
    """Run the command, and say whether something has failed; raises FlagError, ConfigError, OSError,
    ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    _check(values, rest)
    with shown("restoring"), Past(config, values) as asked:
        spec, target = _asked(asked, values, rest)
        spec |= _when(asked, values, target)
        found = asked.review("restores", "Restore", spec, dry_run=values["dry-run"])
    return outcomes.report(found, form, dry_run=values["dry-run"])


def _check(values: Mapping[str, Any], words: Sequence[str]) -> None:
    many = [f"--{name}" for name in ("all", "selector", "resources") if values[name]]
    if words and many:
        raise FlagError(f"{many[0]} is for a namespace, not for one object")
    if not words and not many:
        raise FlagError("say KIND/NAME, or choose objects of a namespace by --all, --selector or --resources")
    if values["at"] and values["revision"]:
        raise FlagError("--at and --revision exclude each other")


def _asked(past: Past, values: Mapping[str, Any], words: Sequence[str]) -> tuple[Object, HistoryTarget]:
    """The objects to restore, as the API names them, and the object whose deletion tells the time."""
    if words:
        target = past.target(words, "pilothouse restore")
        place = {"resource": target.kind.resource, "namespace": target.namespace, "name": target.name}
        return {**place, "prune": values["prune"]}, target
    spec = {
        "namespace": past.namespace,
        "resources": [past.kinds.named(word).resource for word in values["resources"]],
        "labelSelector": values["selector"],
        "prune": values["prune"],
    }
    return spec, HistoryTarget(past.kinds.named(NAMESPACE), "", past.namespace)


def _when(past: Past, values: Mapping[str, Any], target: HistoryTarget) -> Object:
    """The time or revision to go back to."""
    if values["at"]:
        return {"at": values["at"]}
    if values["revision"]:
        return {"revision": values["revision"].removeprefix("r")}
    changes = past.of(target, LOOKED_AT)
    if changes[0]["operation"] != "Deleted":
        raise FlagError(f"{target.shown} has not been deleted: say --at or --revision")
    return {"revision": str(before_deletion(changes))}


def before_deletion(changes: Sequence[Object]) -> int:
    """The revision before an object began to be deleted. changes: the newest first, of which that one is a
    deletion."""
    revision = int(changes[0]["revision"])
    for change in changes[1:]:
        if change["operation"] == "Created":
            break
        if any(one["path"] == ".metadata.deletionTimestamp" for one in change["fields"]):
            revision = int(change["revision"])
    return revision - 1
