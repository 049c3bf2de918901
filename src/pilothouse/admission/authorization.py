"""What plugins ask the authorizer of the server; authz/ implements it."""

from collections.abc import Awaitable
from typing import Protocol

from pilothouse.api.identity import AuthorizationAttributes


class Decision(Protocol):
    """The answer of an authorizer."""

    @property
    def allowed(self) -> bool: ...


class Authorizer(Protocol):
    """Judges whether a user may do something."""

    def authorize(self, attributes: AuthorizationAttributes) -> Decision | Awaitable[Decision]: ...


async def allowed(authorizer: Authorizer, attributes: AuthorizationAttributes) -> bool:
    """Whether the authorizer allows it."""
    decision = authorizer.authorize(attributes)
    if isinstance(decision, Awaitable):
        decision = await decision
    return decision.allowed
