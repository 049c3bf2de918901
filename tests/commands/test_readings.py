"""Readings go on while some servers do not answer."""

from typing import cast

import pytest

from pilothouse.api.values.fields import Object
from pilothouse.commands import top_screen
from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.readings import ClusterReadings, Reading, sheet
from pilothouse.commands.samples import parse


class OneServer:
    """The address of a server, and each connection to it."""

    def __init__(self, name: str, started: int, cluster: "dict[str, OneServer]") -> None:
        self.address, self.started, self.cluster = (name, 6443), started, cluster
        self.up = True
        cluster[name] = self

    def held(self) -> "OneServer":
        return self

    def close(self) -> None:
        pass

    def other(self, host: str, port: int) -> "OneServer":
        return self.cluster[host]

    def call(self, method: str, path: str) -> Object:
        if "leases" in path:
            return {"items": [{"spec": {"renewTime": "2026-11-30T12:00:00.000000Z"}} for _ in self.cluster]}
        return {"items": [{"ports": [{"port": 6443}], "endpoints": [{"addresses": [*self.cluster]}]}]}

    def text(self, path: str, *, seconds: float = 0.0) -> str:
        if not self.up:
            raise ApiError("it does not answer")
        return f"process_start_time_seconds {self.started}\n"


def test_the_server_of_the_kubeconfig_may_end_while_another_one_answers() -> None:
    servers: dict[str, OneServer] = {}
    first, second = OneServer("a", 1, servers), OneServer("b", 2, servers)
    cluster = ClusterReadings(cast("Api", first))
    assert sorted(cluster.read()) == ["1.000000", "2.000000"] and cluster.notes == []
    first.up = False
    for _ in range(2):
        assert list(cluster.read()) == ["2.000000"]
        assert cluster.notes == ["1 of 2 servers are read"]
    second.up = False
    with pytest.raises(ApiError, match="does not answer"):
        cluster.read()
    first.up = second.up = True
    assert sorted(cluster.read()) == ["1.000000", "2.000000"] and cluster.notes == []


def test_a_history_that_is_behind_is_told() -> None:
    """The servers keep one each; the one that is furthest behind counts."""

    def lines(*lags: float) -> str:
        found = {
            str(number): Reading(
                1.0, parse(f"process_start_time_seconds 1\npilothouse_history_lag_seconds {lag}\n")
            )
            for number, lag in enumerate(lags)
        }
        return "\n".join(
            top_screen._summary(sheet({key: one._replace(at=0.0) for key, one in found.items()}, found))
        )

    assert "history IS BEHIND by 700 s" in lines(3.0, 700.0)
    assert "BEHIND" not in lines(3.0, 599.0)
