"""Shows what an undo or a restore has written: a line for each object, and how many there were."""

from collections import Counter
from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.commands import output

FAILED = "Failed"
TONES = {FAILED: output.RED, "Skipped": output.YELLOW, "Created": output.GREEN, "Deleted": output.RED,
         "Unchanged": output.DIM}  # fmt: skip


def report(found: Object, form: str, *, dry_run: bool) -> int:
    """Print the answer to a review; the exit status is 1 when something has failed."""
    results = found["status"]["results"]
    if form in ("json", "yaml"):
        print(output.document(found, form))
    else:
        print(text(results, found["status"]["revision"], dry_run=dry_run, colours=output.coloured()))
    return int(any(one["action"] == FAILED for one in results))


def text(results: Sequence[Object], revision: str, *, dry_run: bool = False, colours: bool = False) -> str:
    """The lines, and the sum."""
    rows = [(one["action"].lower(), f"{one['resource']}/{one['name']}", _note(one)) for one in results]
    lines = [
        output.painted(line, TONES.get(one["action"], ""), colours)
        for line, one in zip(output.columns(rows) if rows else [], results, strict=True)
    ]
    counts = Counter(action for action, _, _ in rows)
    total = ", ".join(f"{count} {action}" for action, count in counts.most_common()) or "nothing to do"
    tried = " (server dry run)" if dry_run else ""
    return "\n".join([*lines, f"{total}, as of r{revision}{tried}"])


def _note(result: Object) -> str:
    return "; ".join([*filter(None, [result.get("message", "")]), *result.get("warnings", ())])
