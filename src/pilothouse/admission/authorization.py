"""What plugins ask the authorizer of the server; authz/ implements it."""

from typing import Protocol

from pilothouse.api.identity import AuthorizationAttributes


class Decision(Protocol):
    """The answer of an authorizer."""

    @property
    def allowed(self) -> bool: ...

    @property
    def reason(self) -> str: ...


class Authorizer(Protocol):
    """Judges whether a user may do something."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision: ...


async def allowed(authorizer: Authorizer, attributes: AuthorizationAttributes) -> bool:
    """Whether the authorizer allows it."""
    return (await authorizer.authorize(attributes)).allowed
