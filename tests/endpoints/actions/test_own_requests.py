"""An undo tells in a dry run what it would write, and reaches every object by its own name."""

from typing import Any
from urllib.parse import quote

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
