"""The paths by which tests keep states and put them back."""

import json
from typing import Any

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.endpoints.documents.checkpoint_page import PATH, STATE_PATH, CheckpointPage
from pilothouse.registry.checkpoints import Checkpoints
from pilothouse.server.request import Request, Response

MAPS = "/api/v1/namespaces/default/configmaps"


async def packed() -> bytes:
    return b"tar"


async def ask(rig: Rig, method: str, path: str = PATH) -> Response:
    found = await rig.handlers.dispatcher.nonresource.handle(Request(method, path, {}, []), path)
    if found is None:
        raise errors.not_found("", "paths", path)
    return found


def install(rig: Rig, *, file: bool = True) -> None:
    checkpoints = Checkpoints(rig.store, lambda: 0.0, rig.settle)
    CheckpointPage(checkpoints, packed if file else None).install(rig.handlers.dispatcher.nonresource)


def told(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


async def test_a_state_is_kept_put_back_and_dropped(rig: Rig) -> None:
    install(rig)
    kept = await ask(rig, "POST")
    name = told(kept)["name"]
    assert kept.status == 201 and told(kept)["objects"] > 0
    assert told(await ask(rig, "GET")) == {"checkpoints": [{"name": name}]}
    await rig.config_map("a")
    assert told(await ask(rig, "POST", f"{PATH}/{name}")) == {"name": name, "written": 1}
    assert (await rig.ok("GET", MAPS))["items"] == []
    assert told(await ask(rig, "DELETE", f"{PATH}/{name}/")) == {"name": name}
    with pytest.raises(errors.NotFound):
        await ask(rig, "POST", f"{PATH}/{name}")


async def test_other_methods_and_paths(rig: Rig) -> None:
    install(rig)
    for method, path in (("PUT", PATH), ("GET", f"{PATH}/1"), ("POST", STATE_PATH)):
        with pytest.raises(errors.MethodNotAllowed):
            await ask(rig, method, path)
    with pytest.raises(errors.NotFound):
        await ask(rig, "POST", f"{PATH}/1/2")


async def test_the_file_of_a_state(rig: Rig) -> None:
    install(rig)
    found = await ask(rig, "GET", STATE_PATH)
    assert (found.body, found.content_type) == (b"tar", "application/x-tar")


async def test_a_cluster_without_a_file(rig: Rig) -> None:
    install(rig, file=False)
    with pytest.raises(errors.NotFound):
        await ask(rig, "GET", STATE_PATH)
