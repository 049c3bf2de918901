"""Method and path of a request to what it is about,
compiled against the plain version kept here (pytest-benchmark)."""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.api.values.identity import RequestInfo

TARGETS = [
    ("GET", "/api/v1/namespaces/default/pods/web-6d4cf56db6-x2x7k", ""),
    ("PATCH", "/api/v1/nodes/node-17/status", "fieldManager=kubelet"),
    (
        "GET",
        "/apis/apps/v1/deployments",
        "labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29&limit=500&watch=true",
    ),
    ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-17", "timeout=10s"),
]
VERBS = {"POST": "create", "GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
RESOURCE = re.compile(
    r"/(?:(?P<core>api)|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/(?!status|finalize)))?/(?P<rest>.+)"
)


def plain(method: str, path: str, query: str) -> tuple[RequestInfo, dict[str, list[str]]]:
    """The work in plain Python, by a regular expression and the standard library;
    for paths of resources only."""
    values = parse_qs(query, keep_blank_values=True)
    path = unquote(path)
    found = RESOURCE.fullmatch(path)
    if found is None:
        return RequestInfo(path, method.lower()), values
    parts = found["rest"].split("/")
    name = parts[1] if len(parts) > 1 else ""
    verb = VERBS[method]
    if verb == "get" and not name:
        verb = "watch" if values.get("watch", ["0"])[0].lower() not in ("0", "false") else "list"
    return RequestInfo(
        path,
        verb,
        is_resource=True,
        prefix="api" if found["core"] else "apis",
        group=found["group"] or "",
        version=found["version"],
        namespace=found["namespace"] or "",
        resource=parts[0],
        subresource=parts[2] if len(parts) > 2 else "",
        name=name,
        parts=tuple(parts),
    ), values


def compiled(method: str, path: str, query: str) -> tuple[RequestInfo, dict[str, list[str]]]:
    values = requestinfo.parse_query(query)
    return requestinfo.parse(method, requestinfo.unescape_path(path), values), values


def test_they_agree() -> None:
    for target in TARGETS:
        assert compiled(*target) == plain(*target)


@pytest.mark.parametrize("version", [compiled, plain])
def test_request_info(benchmark: Any, version: Any) -> None:
    benchmark(lambda: [version(*target) for target in TARGETS])
