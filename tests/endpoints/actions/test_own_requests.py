"""An undo tells in a dry run what it would write, and reaches every object by its own name."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from pilothouse.endpoints.actions.own_requests import OwnRequests
from pilothouse.offload import INLINE, ROOM_OF_USER, Offload
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.server.request import Response

MAPS = "/api/v1/namespaces/default/configmaps"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]


def undone(history: Any, changed: Any, query: str = "") -> Any:
    change = f"r{changed['metadata']['resourceVersion']}"
    [result] = history.admin.review("undos", {"change": change}, query)["results"]
    return result


def test_a_dry_run_shows_the_object(history: Any) -> None:
    history.admin.ok("POST", MAPS, {"metadata": {"name": "shown"}, "data": {"a": "1"}})
    changed = history.admin.patch(f"{MAPS}/shown", {"data": {"a": "2"}})
    assert undone(history, changed, "?dryRun=All")["object"]["data"] == {"a": "1"}
    assert history.admin.ok("GET", f"{MAPS}/shown")["data"] == {"a": "2"}
    assert "object" not in undone(history, changed)


def test_names_with_signs_of_addresses(history: Any) -> None:
    changed = {}
    for name in ("a", "a?b#c", "a&b=c;d"):
        history.admin.ok("POST", CLUSTER_ROLES, {"metadata": {"name": name}, "rules": RULES})
        path = f"{CLUSTER_ROLES}/{quote(name, safe='')}"
        changed[path] = history.admin.patch(path, {"metadata": {"labels": {"x": "y"}}})
    other, *paths = changed
    for path in paths:
        assert undone(history, changed[path])["action"] == "Updated", path
        assert "labels" not in history.admin.ok("GET", path)["metadata"]
    assert history.admin.ok("GET", other)["metadata"]["labels"] == {"x": "y"}


def test_a_restore_of_more_than_the_room_of_a_user_does_not_wait_for_itself(history: Any) -> None:
    space = history.namespace("large")
    maps, size, count = f"/api/v1/namespaces/{space}/configmaps", 700_000, ROOM_OF_USER // 700_000 + 2
    for number in range(count):
        history.admin.ok("POST", maps, {"metadata": {"name": f"m{number}"}, "data": {"a": "x" * size}})
    then = str(history.revision)
    history.admin.ok("DELETE", maps)
    spec = {"namespace": space, "resources": ["configmaps"], "revision": then}
    results = history.admin.review("restores", spec)["results"]
    assert sum(one["action"] == "Created" for one in results) >= count


class Counted(Offload):
    """Threads whose steps are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    async def _run(self, work: Any, call: Any) -> Any:
        self.steps += 1
        return await super()._run(work, call)


@pytest.mark.parametrize(("size", "steps"), [(INLINE // 2, 0), (2 * INLINE, 2)])
async def test_large_objects_are_worked_on_beside_the_loop(runner: Any, size: int, steps: int) -> None:
    offload, maps = Counted(), Catalog(built_in()).by_group_resource("configmaps")
    first = SimpleNamespace(headers={}, all_headers=[], peer=None, peer_certificates=None)
    context: Any = SimpleNamespace(request=first, user=SimpleNamespace(name="jane"))
    requests = OwnRequests(lambda request: Response(201, request.body), context, offload)
    obj = {"data": {"a": "x" * size}}
    assert maps is not None
    answer = await requests.send("POST", maps, "default", "", obj, {}, size=size)
    assert answer.obj == obj and offload.steps == steps
    offload.close()
