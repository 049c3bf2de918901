"""Room 9: may they. The union of the authorizers in the order of --authorization-mode."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from pilothouse.api.identity import Attributes


@dataclass(slots=True, frozen=True)
class Decision:
    """`allowed` and `denied` both False = no opinion. `reason` is shown in the 403 and the audit log."""

    allowed: bool
    denied: bool = False
    reason: str = ""


NO_OPINION = Decision(False)


class Authorizer(Protocol):
    def authorize(self, attributes: Attributes) -> Decision | Awaitable[Decision]:
        """Judge one request."""
