"""The interface through which plugins ask the server's authorizer; authz/ implements it."""

from typing import Protocol

from pilothouse.api.values.identity import AuthorizationAttributes


class AccessDecision(Protocol):
    """The answer of an authorizer."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class AccessAuthorizer(Protocol):
    """Judges whether a user may do something."""

    async def authorize(self, attributes: AuthorizationAttributes) -> AccessDecision: ...


async def allowed(authorizer: AccessAuthorizer, attributes: AuthorizationAttributes) -> bool:
    """Whether the authorizer allows the request that the attributes describe."""
    return (await authorizer.authorize(attributes)).allowed
