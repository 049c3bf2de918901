"""Finds all servers of a cluster, and all processes of each, so that a command asks every one of them.

They are asked at the addresses that they have announced. Processes may share a port, and addresses may be
out of reach where a load balancer is not: connections are opened until all that are known have answered.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.api.values.times import to_seconds
from pilothouse.commands.api import SECONDS, Api, ApiError

_SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    "?labelSelector=kubernetes.io/service-name%3Dkubernetes"
)
_LEASES = (
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    "?labelSelector=apiserver.kubernetes.io/identity%3Dkube-apiserver"
)
_RENEWED = 60.0
"""Seconds by which the lease of a server that runs may be older than the newest one."""

PATIENCE = 5.0
"""Seconds within which another server has to answer."""
AT_ONCE = 16
"""Addresses that are tried at the same time."""
QUIET, MOST = 12, 64
"""Connections in a row that may lead to processes which were asked before,
and processes behind one address."""


class Found(NamedTuple):
    """A process that has answered.

    api: a connection to it, which is open. server: the name of the server that it belongs to.
    shared: there may be other processes. answer: to the first question.
    """

    api: Api
    server: Hashable
    shared: bool
    answer: Object


class Asked(NamedTuple):
    """How a process calls its server, and itself; whether the server may have others; and what it answers."""

    server: Hashable
    process: Hashable
    shared: bool
    answer: Object


class Servers:
    """The processes that have answered `ask`, which sends one request and has so many seconds for it.

    expected: how many servers there are, 0 when nobody may say. notes: who could not be asked, and why.
    """

    def __init__(self, api: Api, ask: Callable[[Api, float], Asked]) -> None:
        self.found: dict[tuple[Hashable, Hashable], Found] = {}
        self.expected = 0
        self.notes: list[str] = []
        self._api = api
        self._ask = ask

    def look(self) -> None:
        """Ask all of them; ApiError when the server of the kubeconfig does not answer."""
        first = self._asked(self._api, SECONDS)
        addresses = announced(first, self.notes)
        self.expected = max(len(addresses), _live(first, self.notes))
        others = [self._api.other(*address) for address in addresses if address != self._api.address]
        if others:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._drain, others))
        self._repeat(self._api, lambda: bool(self.expected) and self.servers >= self.expected)

    @property
    def servers(self) -> int:
        """How many servers have answered."""
        return len({one.server for one in self.found.values()})

    def close(self) -> None:
        """Close all connections."""
        for one in self.found.values():
            one.api.close()

    def _asked(self, api: Api, seconds: float = PATIENCE) -> Api:
        """Ask by a new connection, which is kept when it leads to a process that is new."""
        held = api.held()
        try:
            server, process, shared, answer = self._ask(held, seconds)
        except BaseException:
            held.close()
            raise
        known = self.found.setdefault((server, process), Found(held, server, shared, answer))
        if known.api is not held:
            held.close()
        return known.api

    def _drain(self, api: Api) -> None:
        """Ask all processes of one server; an address that does not answer is a note."""
        try:
            self._asked(api)
            self._repeat(api, lambda: True)
        except ApiError as error:
            self.notes.append(str(error))

    def _repeat(self, api: Api, enough: Callable[[], bool]) -> None:
        """Open connections until all processes that are known of have answered, or no new one shows up."""
        quiet = 0
        while quiet < QUIET and len(self.found) < MOST and (self._shared() or not enough()):
            before = len(self.found)
            self._asked(api)
            quiet = 0 if len(self.found) > before else quiet + 1

    def _shared(self) -> bool:
        """Whether a server that has answered may have other processes."""
        return any(one.shared for one in list(self.found.values()))


def announced(api: Api, notes: list[str]) -> list[tuple[str, int]]:
    """The addresses that the Service `kubernetes` leads to."""
    try:
        slices = api.call("GET", _SLICES)["items"]
    except ApiError as error:
        notes.append(f"the other servers are not known: {error}")
        return []
    out = []
    for one in slices:
        port = next((port["port"] for port in one.get("ports") or () if port.get("port")), 443)
        for endpoint in one.get("endpoints") or ():
            out += [(host, port) for host in endpoint.get("addresses") or ()]
    return list(dict.fromkeys(out))


def _live(api: Api, notes: list[str]) -> int:
    """How many servers renew their identity leases; 0 when these may not be seen."""
    try:
        leases = api.call("GET", _LEASES)["items"]
    except ApiError as error:
        notes.append(f"how many servers there are is not known: {error}")
        return 0
    times = [to_seconds(one["spec"]["renewTime"]) for one in leases if one["spec"].get("renewTime")]
    return sum(max(times) - one <= _RENEWED for one in times)
