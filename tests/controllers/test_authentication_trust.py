"""Aggregated servers know the CAs and headers of all servers of a cluster."""

import asyncio
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import Rig

from pilothouse import pki
from pilothouse.controllers.authentication_trust import FIRST, AuthenticationTrust, merged

PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
NOW = datetime.datetime.now(datetime.UTC)


def ca(days: float = 10) -> str:
    return pki.pem(pki.CertificateAuthority.create(days=days).certificate).decode()


ONE, TWO, PROXY = ca(), ca(), ca()
OWN = {
    "client-ca-file": ONE,
    "requestheader-client-ca-file": PROXY,
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": "[]",
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    "requestheader-allowed-names": '["front-proxy-client"]',
}
THEIRS = {
    "client-ca-file": TWO,
    "requestheader-client-ca-file": PROXY,
    "requestheader-username-headers": '["X-User","X-Remote-User"]',
    "requestheader-allowed-names": "[]",
}


def test_servers_merge() -> None:
    assert merged({}, OWN, NOW) == OWN and merged(OWN, OWN, NOW) == OWN
    both = merged(THEIRS, OWN, NOW)
    assert both["client-ca-file"] == TWO + ONE and both["requestheader-client-ca-file"] == PROXY
    assert both["requestheader-username-headers"] == '["X-User","X-Remote-User"]'
    assert both["requestheader-allowed-names"] == '["front-proxy-client"]'
    assert merged(both, THEIRS, NOW) == merged(both, OWN, NOW) == both, "they do not go round in circles"


def test_what_has_expired_goes() -> None:
    old = ca(1)
    later = NOW + datetime.timedelta(days=2)
    assert merged({"client-ca-file": old + TWO}, OWN, NOW)["client-ca-file"] == old + TWO + ONE
    assert merged({"client-ca-file": old + TWO}, OWN, later)["client-ca-file"] == TWO + ONE
    assert merged({"client-ca-file": old}, {}, later) == {}


def test_without_front_proxies_there_are_no_headers() -> None:
    assert merged({}, {"client-ca-file": ONE}, NOW) == {"client-ca-file": ONE}
    with pytest.raises(ValueError, match="property name"):
        merged({"requestheader-client-ca-file": PROXY, "requestheader-allowed-names": "{"}, OWN, NOW)


async def running(
    rig: Rig, own: Any = OWN, now: Callable[[], datetime.datetime] = lambda: NOW
) -> AuthenticationTrust:
    controller = AuthenticationTrust(rig.client("kube-apiserver"), lambda: own, now)
    controller.start()
    await rig.settle()
    return controller


async def test_it_is_made_and_comes_back(rig: Rig) -> None:
    controller = await running(rig)
    assert (await rig.ok("GET", PATH))["data"] == OWN
    await rig.ok("DELETE", PATH)
    await rig.settle()
    assert (await rig.ok("GET", PATH))["data"] == OWN
    body = {
        "metadata": {"name": "extension-apiserver-authentication"},
        "data": {"client-ca-file": TWO, "odd": "1"},
    }
    await rig.ok("PUT", PATH, body)
    await rig.settle()
    assert (await rig.ok("GET", PATH))["data"] == {**OWN, "client-ca-file": TWO + ONE}
    before = rig.storage.revision
    await rig.config_map("other")
    await rig.settle()
    assert rig.storage.revision == before + 1
    await controller.close()


async def test_two_servers_know_of_each_other(rig: Rig) -> None:
    one, two = await running(rig), await running(rig, THEIRS)
    data = (await rig.ok("GET", PATH))["data"]
    assert data["client-ca-file"] == ONE + TWO
    assert json.loads(data["requestheader-username-headers"]) == ["X-Remote-User", "X-User"]
    before = rig.storage.revision
    await asyncio.sleep(0)
    await rig.settle()
    assert rig.storage.revision == before
    await one.close()
    await two.close()


async def test_it_is_looked_at_again(rig: Rig, virtual: Any) -> None:
    now = NOW
    own = {"client-ca-file": ONE + ca(1)}
    controller = await running(rig, own, lambda: now)
    now += datetime.timedelta(days=2)
    await virtual.advance(3601)
    assert (await rig.ok("GET", PATH))["data"] == {"client-ca-file": ONE}
    await controller.close()


async def test_a_start_with_nothing_to_merge_reads_them_later(rig: Rig, virtual: Any) -> None:
    own = {"client-ca-file": ONE + ca(1)}
    await (await running(rig, own)).close()
    controller = await running(rig, own, lambda: NOW + datetime.timedelta(days=2))
    assert (await rig.ok("GET", PATH))["data"] == own
    await virtual.advance(FIRST + 1)
    assert (await rig.ok("GET", PATH))["data"] == {"client-ca-file": ONE}
    await controller.close()


async def test_other_authorities_follow(rig: Rig) -> None:
    own = dict(OWN)
    controller = await running(rig, own)
    own["client-ca-file"] = TWO
    controller.look()
    await rig.settle()
    found = (await rig.ok("GET", PATH))["data"]["client-ca-file"]
    assert found == ONE + TWO, "servers that have the former one may be there"
    await controller.close()
