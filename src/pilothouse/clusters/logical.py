"""A logical cluster that is open: its parts, and the requests that keep it open."""

import time
from collections.abc import Awaitable
from typing import Any

from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.jwt import issuer_maker
from pilothouse.authn.configuration import ALGORITHMS, AuthenticationConfiguration
from pilothouse.authn.oidc import JWTTokens
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.clusters.guest import GuestHost
from pilothouse.lifecycle import Opened
from pilothouse.server.request import Request, Response
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage


class LogicalCluster:
    """A cluster in memory. `open_requests` are those that have no answer yet, and answers that go on."""

    def __init__(
        self, name: str, uid: str, host: GuestHost, cluster: Cluster, storage: KeyspaceStorage, opened: Opened
    ) -> None:
        self.name = name
        self.uid = uid
        self.cluster = cluster
        self.storage = storage
        self.open_requests = 0
        self.requests = 0
        """Requests so far."""
        self.used = time.monotonic()
        """When the last request came or ended."""
        self.compactable = storage.revision
        """The revision to which the next compaction goes."""
        self.host = host
        self._opened = opened
        self._pipeline = cluster.pipeline

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        self.requests += 1
        answer = self._pipeline.handle(request)
        if isinstance(answer, Response):
            self._answered(answer)
            return answer
        return self._awaited(answer)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, before its body is read."""
        self.used = time.monotonic()
        return self._pipeline.admit(request)

    async def _awaited(self, answer: Awaitable[Response]) -> Response:
        self.open_requests += 1
        try:
            response = await answer
            self._answered(response)
            return response
        finally:
            self.open_requests -= 1

    def _answered(self, response: Response) -> None:
        """Note that a request has its answer; one that goes on keeps the cluster open."""
        self.used = time.monotonic()
        if response.start is None and response.upgrade is None:
            return
        self.open_requests += 1
        done = response.on_done

        def ended(*arguments: Any) -> None:
            self.open_requests -= 1
            self.used = time.monotonic()
            if done is not None:
                done(*arguments)

        response.on_done = ended

    def trust(self, ca: bytes) -> None:
        """Know clients by other CAs from now on."""
        self.host.authorities.trust_clients(ca)
        for method in self.cluster.access.authenticator.methods:
            if isinstance(method, CertificateAuthenticator):
                method.trust(ca)

    async def use(self, issuers: AuthenticationConfiguration) -> None:
        """Know users by the tokens of other issuers from now on."""
        if issuers == self.host.issuers:
            return
        union, options = self.cluster.access.authenticator, self.host.config.authentication
        make = issuer_maker(
            options,
            ALGORITHMS,
            clients=self.host.clients,
            proxied=False,
            metrics=self.cluster.named.authentication,
        )
        made, self.host.issuers = make(issuers), issuers
        for method in union.tokens:
            if isinstance(method, JWTTokens):
                for one in made:
                    one.start()
                await method.replace(made, union.forget)

    def relieve(self) -> None:
        """Have caches shrink and the watches of slow clients end."""
        self.host.caches.halve()
        self.cluster.registry.store.cacher.end_slow_watches()

    async def close(self) -> None:
        """End what goes on, and leave memory."""
        self.cluster.registry.cacher.end_watches()
        await self._opened.aclose()
