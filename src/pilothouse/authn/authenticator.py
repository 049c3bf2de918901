"""Room 5: who is asking. The union of the methods, anonymous last, with a cache of token results."""

from collections.abc import Awaitable
from typing import Protocol

from pilothouse.api.identity import User
from pilothouse.server.request import Request


class Authenticator(Protocol):
    """One method of authentication."""

    def authenticate(self, request: Request) -> User | None | Awaitable[User | None]:
        """The user; None when the request carries nothing for this method; errors.Unauthorized when it is wrong."""
