"""The same commands as a plugin of kubectl, which runs the program kubectl-history for `kubectl history`."""

import re
from types import MappingProxyType

PROGRAM = "kubectl history"
COMMANDS = MappingProxyType(
    {
        "list": ("history",),
        "blame": ("blame",),
        "diff": ("diff",),
        "undo": ("undo",),
        "restore": ("restore",),
        "purge": ("history", "purge"),
    }
)
"""The command of `pilothouse` for each command of the plugin, and its first arguments."""

USAGE = """Tell who changed what and when, and take it back. The server is Pilothouse, which keeps it with --history.

Usage:
  kubectl history list [KIND/NAME]             Which changes there were, by whom.
  kubectl history blame KIND/NAME              An object with the change that has set each line.
  kubectl history diff KIND/NAME | CHANGE      How an object has changed.
  kubectl history undo CHANGE | KIND/NAME      Take a change back.
  kubectl history restore KIND/NAME | -n NAMESPACE --all
                                               Make objects as they were.
  kubectl history purge KIND/NAME              Forget all changes of an object for good, in the file of --data-dir.

`kubectl history COMMAND --help` says more of each.
"""  # noqa: E501


def renamed(text: str) -> str:
    """A text of the commands of `pilothouse` with the names of the plugin's."""
    text = text.replace("pilothouse history purge", f"{PROGRAM} purge")
    text = re.sub(r"pilothouse history(?! purge)", f"{PROGRAM} list", text)
    return re.sub(r"pilothouse (blame|diff|undo|restore)\b", rf"{PROGRAM} \1", text)
