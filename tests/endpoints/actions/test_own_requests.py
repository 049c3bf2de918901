"""An undo tells in a dry run what it would write, and reaches every object by its own name."""

import threading
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from pilothouse.endpoints.actions import own_requests
from pilothouse.offload import INLINE, ROOM_OF_USER

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


def test_large_objects_are_worked_on_beside_the_loop(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore of more than the room of a user does not wait for itself."""
    seen: list[tuple[int, str]] = []

    def dumps(value: Any) -> bytes:
        found = orjson.dumps(value)
        seen.append((len(found), threading.current_thread().name))
        return found

    def loads(data: bytes) -> Any:
        seen.append((len(data), threading.current_thread().name))
        return orjson.loads(data)

    space = history.namespace("large")
    maps, size, count = f"/api/v1/namespaces/{space}/configmaps", 700_000, ROOM_OF_USER // 700_000 + 2
    for number in range(count):
        history.admin.ok("POST", maps, {"metadata": {"name": f"m{number}"}, "data": {"a": "x" * size}})
    then = str(history.revision)
    history.admin.ok("DELETE", maps)
    monkeypatch.setattr(own_requests, "orjson", SimpleNamespace(dumps=dumps, loads=loads))
    spec = {"namespace": space, "resources": ["configmaps"], "revision": then}
    results = history.admin.review("restores", spec)["results"]
    assert sum(one["action"] == "Created" for one in results) >= count
    large = [thread for length, thread in seen if length > size]
    assert len(large) == 2 * count and {*large} == {"offload"}
    assert "offload" not in {thread for length, thread in seen if length < INLINE}
