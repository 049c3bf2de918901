"""Makes the hosts of logical clusters: what each has of its object, and what all of them share."""

from collections.abc import Callable

from pilothouse.api.values.clock import ServerClock
from pilothouse.api.values.fields import Object
from pilothouse.assembly.host import Host
from pilothouse.clusters.authentication import usable
from pilothouse.clusters.guest import GuestHost, guest, guest_config, named
from pilothouse.configuration.config import Config
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage

PATH = "/clusters/"
"""How the paths of logical clusters begin: `/clusters/NAME`."""


class Guests:
    """The guests of a host. `url_of` tells where clients reach a cluster by its name."""

    def __init__(self, host: Host, url_of: Callable[[str], str]) -> None:
        self._host, self._url_of = host, url_of
        options = host.config.diagnostics
        explained = 0 if options.faults_ else options.explained_requests
        self.journal = Journal(explained) if explained else None
        """The latest requests of all clusters, None where each keeps its own, or none."""
        self._shared = guest_config(host.config)

    def make(
        self,
        name: str,
        uid: str,
        storage: KeyspaceStorage,
        key: bytes,
        clock: ServerClock,
        given: Object | None = None,
    ) -> GuestHost:
        """The host of a cluster; `given` is what its object says of its users."""
        config = self._config(name)
        issuers = usable(given, config.authentication.service_accounts.issuers, name)
        return guest(
            self._host,
            config,
            name=name,
            uid=uid,
            storage=storage,
            token_key=key,
            clock=clock,
            issuers=issuers,
            journal=self.journal,
        )

    def issuers_of(self, name: str) -> tuple[str, ...]:
        """The issuers of the tokens of a cluster's service accounts."""
        return self._config(name).authentication.service_accounts.issuers

    def _config(self, name: str) -> Config:
        return named(self._shared, f"{PATH}{name}", self._url_of(name))
