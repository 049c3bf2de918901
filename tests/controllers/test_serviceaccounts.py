"""The account and the CA bundle of every namespace."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig, config_map

from pilothouse.controllers.serviceaccounts import ABOUT, ACCOUNT, CONFIG_MAP, NamespaceContents

CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
ACCOUNT_PATH = "/api/v1/namespaces/{}/serviceaccounts/" + ACCOUNT
BUNDLE_PATH = "/api/v1/namespaces/{}/configmaps/" + CONFIG_MAP


@pytest.fixture
def controller(rig: Rig, runner: asyncio.Runner) -> Iterator[Any]:
    controller = NamespaceContents(rig.client("kube-controller-manager"), CA)

    async def start() -> None:
        controller.start()
        await rig.settle()

    async def stop() -> None:
        await controller.close()
        await rig.settle()

    runner.run(start())
    yield controller
    runner.run(stop())


async def test_namespaces_that_are_there_and_that_come(rig: Rig, controller: Any) -> None:
    await rig.namespace("new")
    await rig.settle()
    for namespace in ("default", "kube-system", "new"):
        assert (await rig.ok("GET", ACCOUNT_PATH.format(namespace)))["metadata"]["name"] == "default"
        bundle = await rig.ok("GET", BUNDLE_PATH.format(namespace))
        assert bundle["data"] == {"ca.crt": CA} and bundle["metadata"]["annotations"] == ABOUT
        (entry,) = bundle["metadata"]["managedFields"]
        assert entry["manager"] == "kube-controller-manager"


async def test_both_come_back(rig: Rig, controller: Any) -> None:
    account, bundle = ACCOUNT_PATH.format("default"), BUNDLE_PATH.format("default")
    before = await rig.ok("GET", account)
    await rig.ok("DELETE", account)
    await rig.ok("DELETE", bundle)
    await rig.settle()
    assert (await rig.ok("GET", account))["metadata"]["uid"] != before["metadata"]["uid"]
    assert (await rig.ok("GET", bundle))["data"] == {"ca.crt": CA}


async def test_a_changed_bundle_is_set_right(rig: Rig, controller: Any) -> None:
    bundle = BUNDLE_PATH.format("default")
    for data in ({"ca.crt": "forged"}, {}, {"ca.crt": CA, "more": "x"}):
        await rig.ok("PUT", bundle, config_map(CONFIG_MAP, data=data, labels={"mine": "yes"}))
        await rig.settle()
        live = await rig.ok("GET", bundle)
        assert live["data"] == {"ca.crt": CA} and live["metadata"]["labels"] == {"mine": "yes"}


async def test_when_all_is_well_nothing_is_written(rig: Rig, controller: Any) -> None:
    before = rig.storage.revision
    for namespace in ("default", "none"):
        controller.queue.add(namespace)
    await rig.settle()
    assert rig.storage.revision == before
    await rig.config_map("other")
    await rig.settle()
    assert rig.storage.revision == before + 1


async def test_a_namespace_that_goes_gets_nothing(rig: Rig, controller: Any) -> None:
    await rig.namespace("n")
    await rig.settle()
    await rig.ok("DELETE", "/api/v1/namespaces/n")
    await rig.ok("DELETE", ACCOUNT_PATH.format("n"))
    await rig.settle()
    assert (await rig.call("GET", ACCOUNT_PATH.format("n"))).status == 404
