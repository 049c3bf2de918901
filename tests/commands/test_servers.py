"""All processes of all servers are found, with as few connections as it takes."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.servers import MOST, QUIET, Asked, Servers

LEASE = {"spec": {"renewTime": "2026-11-30T12:00:00.000000Z"}}


class Address:
    """An address behind which processes take turns, (server, process) each; none: it is out of reach."""

    def __init__(self, cluster: "Cluster", address: tuple[str, int], behind: list[tuple[str, int]]) -> None:
        self.cluster, self.address = cluster, address
        self.behind: Iterator[tuple[str, int]] = itertools.cycle(behind)
        self.connections = self.open = 0

    def held(self) -> "Connection":
        self.connections += 1
        self.open += 1
        return Connection(self, next(self.behind, None))

    def other(self, host: str, port: int) -> "Address":
        return self.cluster.addresses[host, port]


class Connection:
    def __init__(self, of: Address, leads_to: tuple[str, int] | None) -> None:
        self.of, self.leads_to = of, leads_to

    def close(self) -> None:
        self.of.open -= 1

    def call(self, method: str, path: str) -> dict[str, Any]:
        if self.of.cluster.refuses:
            raise ApiError("forbidden", 403)
        if "leases" in path:
            return {"items": self.of.cluster.leases}
        addresses = [host for host, _ in self.of.cluster.announced]
        return {"items": [{"ports": [{"port": 6443}], "endpoints": [{"addresses": addresses}]}]}


class Cluster:
    def __init__(self, first: list[tuple[str, int]], **announced: list[tuple[str, int]]) -> None:
        self.announced = [(name, 6443) for name in announced]
        self.addresses = {
            (name, 6443): Address(self, (name, 6443), list_) for name, list_ in announced.items()
        }
        self.addresses["balancer", 443] = self.first = Address(self, ("balancer", 443), first)
        self.leases: list[Any] = [LEASE] * len(announced)
        self.refuses = self.shared = False

    def look(self) -> Servers:
        servers = Servers(cast("Api", self.first), self.ask)
        servers.look()
        return servers

    def ask(self, api: Api, seconds: float) -> Asked:
        leads_to = cast("Connection", api).leads_to
        if leads_to is None:
            raise ApiError("it does not answer")
        return Asked(*leads_to, shared=self.shared, answer={})


def test_a_server_alone_is_asked_once() -> None:
    cluster = Cluster([("a", 1)], a=[("a", 1)])
    cluster.announced = []  # loopback
    servers = cluster.look()
    assert list(servers.found) == [("a", 1)] and servers.expected == cluster.first.connections == 1
    servers.close()
    assert cluster.first.open == 0


def test_announced_addresses_are_asked() -> None:
    cluster = Cluster([("a", 1)], a=[("a", 1)], b=[("b", 1)], c=[("c", 1)])
    servers = cluster.look()
    assert set(servers.found) == {("a", 1), ("b", 1), ("c", 1)} and servers.notes == []
    assert cluster.first.connections == 1
    assert sum(one.open for one in cluster.addresses.values()) == 3, "one is kept for each"


def test_those_out_of_reach_are_found_through_the_balancer() -> None:
    cluster = Cluster([("a", 1), ("b", 1), ("c", 1)], a=[], b=[], c=[])
    servers = cluster.look()
    assert set(servers.found) == {("a", 1), ("b", 1), ("c", 1)} and cluster.first.connections == 3
    assert servers.servers == servers.expected == 3


def test_one_that_nothing_leads_to_is_missed_and_said() -> None:
    cluster = Cluster([("a", 1)], a=[], b=[])
    servers = cluster.look()
    assert (servers.servers, servers.expected) == (1, 2) and servers.notes == ["it does not answer"] * 2
    assert cluster.first.connections == 1 + QUIET


def test_processes_that_share_a_port_are_looked_for_until_no_new_one_comes() -> None:
    cluster = Cluster([("a", number) for number in (1, 1, 2, 1, 3)], a=[("a", 4)])
    cluster.shared = True
    servers = cluster.look()
    assert set(servers.found) == {("a", number) for number in (1, 2, 3, 4)} and servers.servers == 1
    assert cluster.first.open == 3
    many = Cluster([("a", number) for number in range(2 * MOST)])
    many.shared = True
    assert len(many.look().found) == MOST


def test_where_the_others_may_not_be_seen_connections_are_opened() -> None:
    cluster = Cluster([("a", 1), ("b", 1)])
    cluster.refuses = True
    servers = cluster.look()
    assert servers.expected == 0 and servers.servers == 2
    assert servers.notes[0] == "the other servers are not known: forbidden"


def test_leases_of_servers_that_are_gone_do_not_count() -> None:
    cluster = Cluster([("a", 1)])
    cluster.leases = [LEASE, {"spec": {"renewTime": "2026-11-30T11:55:00.000000Z"}}, {"spec": {}}]
    assert cluster.look().expected == cluster.first.connections == 1


def test_the_error_of_the_first_is_raised() -> None:
    cluster = Cluster([])
    with pytest.raises(ApiError, match="does not answer"):
        cluster.look()
    assert cluster.first.open == 0
