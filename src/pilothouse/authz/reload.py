"""Follows changes of --authorization-config; a file that cannot be used leaves the authorizers as they are."""

import asyncio
from collections.abc import Callable, Sequence

from pilothouse.authz import configuration
from pilothouse.authz.authorizer import Member, UnionAuthorizer
from pilothouse.authz.configuration import POLL, Entry
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.reload import FollowedFile


class Reload(FollowedFile):
    """Puts other authorizers into the union; `make` makes them."""

    def __init__(
        self,
        path: str,
        data: bytes,
        union: UnionAuthorizer,
        make: Callable[[Sequence[Entry]], list[Member]],
        metrics: AuthorizationMetrics,
        *,
        poll: float = POLL,
    ) -> None:
        super().__init__("authorization", path, data, metrics, poll)
        self._union = union
        self._make = make

    async def _take(self, data: bytes) -> None:
        entries = await asyncio.to_thread(configuration.read, data)
        self._union.replace(self._make(entries))
