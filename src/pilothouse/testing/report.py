"""The report of a failed test: it tells the events on its server meanwhile."""

import pathlib
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlencode

from pilothouse.commands.api import Api
from pilothouse.commands.report import PATH

TITLE = "What happened on Pilothouse"
PATIENCE = 2.0
"""Seconds within which the server has to answer."""


class Reporting(Protocol):
    """A server of which an administrator may ask for a report."""

    @property
    def kubeconfig(self) -> pathlib.Path: ...


def happened(server: Reporting, since: float) -> str:
    """The report of what has happened since a time in Unix seconds; "" when nothing has.

    It never fails: there is no report of what a server does not tell.
    """
    query = urlencode({"since": datetime.fromtimestamp(since, UTC).isoformat()})
    try:
        return Api(server.kubeconfig).text(f"{PATH}?{query}", seconds=PATIENCE, accept="text/plain").rstrip()
    except Exception:
        return ""
