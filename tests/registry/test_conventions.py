import re
from pathlib import Path

import pytest

import pilothouse
from pilothouse.api.values._requestinfo import parse
from pilothouse.api.values.identity import RequestInfo
from pilothouse.registry.catalog import built_in
from pilothouse.registry.conventions import BUILT_IN, CUSTOM

SOURCE = Path(pilothouse.__file__).parent


def info(path: str) -> RequestInfo:
    return parse("GET", path, {})


@pytest.mark.parametrize(
    ("path", "namespaced", "routed", "custom"),
    [
        ("/api/v1/pods", True, True, True),
        ("/api/v1/pods/a", True, False, False),
        ("/api/v1/namespaces/n/pods/a", True, True, True),
        ("/api/v1/namespaces/n/nodes", False, False, False),
        ("/api/v1/namespaces/n/pods/a/status/b", True, False, True),
        ("/api/v1/namespaces/n/pods//status", True, True, True),
        ("/api/v1/namespaces/n/pods//status/b", True, False, True),
        ("/api/v1/namespaces//pods", True, True, True),
        ("/api/v1/namespaces//pods/a", True, True, False),
        ("/api/v1/namespaces//nodes", False, False, True),
        ("/api/v1/namespaces//status", False, True, True),
    ],
)
def test_paths_below_a_resource(path: str, namespaced: bool, routed: bool, custom: bool) -> None:
    assert BUILT_IN.path_exists(info(path), namespaced) is routed
    assert CUSTOM.path_exists(info(path), namespaced) is custom


@pytest.mark.parametrize(
    ("group", "kind", "name"),
    [
        ("", "Pod", "*core.PodList"),
        ("apps", "Deployment", "*apps.DeploymentList"),
        ("rbac.authorization.k8s.io", "Role", "*rbac.RoleList"),
        ("events.k8s.io", "Event", "*core.EventList"),
    ],
)
def test_messages_name_the_internal_type(group: str, kind: str, name: str) -> None:
    assert BUILT_IN.go_type(group, kind, "List") == name
    assert CUSTOM.go_type(group, kind, "") == "*unstructured.Unstructured"


def test_all_that_is_compiled_in_has_the_same_conventions() -> None:
    assert {resource.conventions for resource in built_in()} == {BUILT_IN}


def test_nobody_outside_the_registry_asks_which_sort_a_resource_is() -> None:
    asks = re.compile(
        r"registry\.conventions import .*\b(BUILT_IN|CUSTOM)\b|import .*\bCustomResource\b|conventions"
        r" (is|[!=]=) "
    )
    files = [file for file in SOURCE.rglob("*.py") if file.relative_to(SOURCE).parts[0] != "registry"]
    assert [file.name for file in files if asks.search(file.read_text())] == []
