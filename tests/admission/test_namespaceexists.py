"""Namespaces that are missing: nothing happens in them, or they are made."""

import asyncio
from functools import partial
from typing import Any

import pytest
from harness import Rig, config_map, is_asked

from pilothouse import errors
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.namespaceexists import NamespaceAutoProvision, NamespaceExists

ELSEWHERE = "/api/v1/namespaces/elsewhere/configmaps"
RESOURCE = ("", "v1", "configmaps")
NAMESPACES = ("", "v1", "namespaces")


class Server:
    """Stands for the client of a server that is made after its plugins."""

    rig: Rig

    async def ensure(self, resource: Any, obj: Any) -> None:
        await self.rig.services.companions.ensure(resource, obj)


def test_a_namespace_is_made(runner: asyncio.Runner) -> None:
    async def main() -> None:
        server = Server()
        async with Rig([NamespaceAutoProvision(server), NamespaceLifecycle()]) as rig:
            server.rig = rig
            dry = f"{ELSEWHERE}?dryRun=All"
            assert await rig.fail(404, "POST", dry, config_map("a")) == 'namespaces "elsewhere" not found'
            await rig.ok("POST", ELSEWHERE, config_map("a"))
            await rig.ok("POST", ELSEWHERE, config_map("b"))
            found = await rig.ok("GET", "/api/v1/namespaces/elsewhere")
            assert found["status"] == {"phase": "Active"}

    runner.run(main())


async def test_who_was_faster_does_not_matter(rig: Rig) -> None:
    companions = rig.services.companions
    await companions.ensure("namespaces", {"metadata": {"name": "default"}, "status": {}})
    asked = rig.attributes(config_map("a"), resource=RESOURCE, namespace="other")
    await NamespaceAutoProvision(companions).mutate(asked)
    assert rig.readers.get("namespaces", "", "other")


async def test_a_namespace_that_cannot_be_made(rig: Rig) -> None:
    asked = rig.attributes(config_map("a"), resource=RESOURCE, namespace="No")
    with pytest.raises(errors.Forbidden) as caught:
        await NamespaceAutoProvision(rig.services.companions).mutate(asked)
    assert caught.value.message.startswith(
        'configmaps "a" is forbidden: Namespace "No" is invalid: metadata.name'
    )


async def test_it_must_exist(rig: Rig) -> None:
    plugin = NamespaceExists()
    plugin.validate(rig.attributes(config_map("a"), resource=RESOURCE))
    with pytest.raises(errors.NotFound) as caught:
        plugin.validate(rig.attributes(config_map("a"), resource=RESOURCE, namespace="none"))
    assert caught.value.message == 'namespaces "none" not found'


async def test_what_they_look_at(rig: Rig) -> None:
    exists, provides = (
        partial(is_asked, plugin) for plugin in (NamespaceExists(), NamespaceAutoProvision(None))
    )
    assert exists(rig.attributes({}, {})) and exists(rig.attributes(None, {}, operation="DELETE"))
    assert provides(rig.attributes({})) and not provides(rig.attributes({}, {}))
    space = rig.attributes({"metadata": {"name": "n"}}, resource=NAMESPACES)
    space.namespace = "n"  # as it is for namespaces
    assert not exists(space) and not provides(space)
    assert not exists(rig.attributes({}, resource=("", "v1", "nodes")))
