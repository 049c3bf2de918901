"""`pilothouse undo`: takes one change of an object back."""

from collections.abc import Sequence

from pilothouse.commands import outcomes, output, past
from pilothouse.commands.past import Past
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag

SERVER_FLAGS = past.SERVER_FLAGS
FLAGS = (
    *past.FLAGS,
    Flag("dry-run", "bool", False, "command", "Ask the server what it would do."),
    Flag("force", "bool", False, "command", "Take back what others have changed since as well."),
)
USAGE = """Take a change back: the fields that it has set get the values that they had before.

Usage:
  pilothouse undo CHANGE      The change that `pilothouse history` has listed, such as r205.
  pilothouse undo KIND/NAME   The last change of an object.

It is an ordinary write of yours, with admission, quota and audit. It is refused when others have changed the same fields since. The
undo of a creation deletes the object, the undo of a deletion creates it.
"""  # noqa: E501


def run(arguments: Sequence[str]) -> int:
    """Run the command, and say whether it has failed; raises FlagError, ConfigError, OSError, ValueError,
    ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(values["output"])
    with shown("writing"), Past(config, values) as asked:
        if len(rest) == 1 and past.CHANGE.fullmatch(rest[0]):
            name = rest[0]
        else:
            name = asked.of(asked.target(rest, "pilothouse undo"))[0]["metadata"]["name"]
        spec = {"change": name, "force": values["force"]}
        found = asked.review("undos", "Undo", spec, dry_run=values["dry-run"])
    return outcomes.report(found, form, dry_run=values["dry-run"])
