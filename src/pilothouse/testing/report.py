"""The requests that a server refused during a test, for the report of a failed test."""

import pathlib
from datetime import UTC, datetime
from urllib.parse import urlencode

from pilothouse.api.values.fields import Object
from pilothouse.commands.api import Api
from pilothouse.commands.journals import PATH

TITLE = "Requests that Pilothouse refused"
LINES = 20
PATIENCE = 2.0
"""Seconds within which the server has to answer."""


def refused(kubeconfig: pathlib.Path, since: float) -> str:
    """A line for each of the last refusals since a time in Unix seconds; "" when there are none.

    It never fails: there is no report of what a server does not tell.
    """
    try:
        lines = [_line(one) for one in _listed(kubeconfig, datetime.fromtimestamp(since, UTC))]
    except Exception:
        return ""
    lines.reverse()  # the server tells the latest first
    return "\n".join(lines if len(lines) <= LINES else ["(there were more before)", *lines[2:]])


def _listed(kubeconfig: pathlib.Path, begun: datetime) -> list[Object]:
    query = urlencode({"refused": "true", "limit": LINES + 1})
    found = Api(kubeconfig).call("GET", f"{PATH}?{query}", seconds=PATIENCE)
    return [one for one in found["requests"] if datetime.fromisoformat(one["received"]) >= begun]


def _line(one: Object) -> str:
    why = ": ".join(one[name] for name in ("reason", "message") if one.get(name))
    return f"{one['verb']} {one['path']} by {one['user']}: {one['code']} {why}".rstrip()
