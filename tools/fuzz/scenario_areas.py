"""The areas of scenarios: what is done to an object, from its creation to odd requests about it."""

import json
from collections.abc import Callable
from typing import Any

from fuzz.mutation import JUNK, ODD_TEXTS, direct, json_patch, merge_patch, odd_operation
from fuzz.scenario import (
    APPLY,
    JSON,
    JSON_PATCH,
    MERGE,
    PARTIAL,
    PARTIAL_LIST,
    STRATEGIC,
    TABLE,
    YAML,
    Builder,
    Scenario,
)
from fuzz.scenario_custom import custom, definitions
from fuzz.seeds import CHANGES_ALL, Object, creatable

from pilothouse.api.types import schema
from pilothouse.registry.resource import Resource, Subresource

RAW = (
    b"", b"null", b"[]", b"1", b'"a"', b"{", b'{"a":', b"{}}", b'{"metadata":{"name":"a"}} x', b'{"kind":1}', b"\xff", b"{}\n{}",
    b'{"metadata":{"name":"a","name":"b"}}', b'{"metadata":null}', b'{"metadata":[]}', b'{"metadata":{"name":1}}',
    b'{"metadata":{"name":"\\ud800"}}', b"a: b: c", b"- a\n", b"a: &a [*a]", b"k8s\x00", b"k8s\x00\x0a\x02", b"[" * 10001,
    b'{"apiVersion":"v1","kind":"List","items":[]}', b'{"apiVersion":"v9/x/y","kind":"Pod"}', b"a: 1\na: 2\n", b"\xef\xbb\xbf{}",
    b'{"metadata":{"creationTimestamp":"x","labels":{"a":1}}}', b'{"metadata":{"generation":1e400}}', b"{'a': 1}", b"%YAML 9",
)  # fmt: skip
"""Bodies that are no objects, or hardly."""

MEDIA = (
    JSON, YAML, "application/vnd.kubernetes.protobuf", "text/plain", "", "application/json; charset=utf-8", "x", "application/json;",
    "application/x-www-form-urlencoded", "application/cbor", "*/*", "application/json, application/yaml",
    MERGE, STRATEGIC, JSON_PATCH, APPLY, "application/apply-patch+cbor", "APPLICATION/JSON",
)  # fmt: skip
ACCEPTS = (
    JSON, YAML, "application/vnd.kubernetes.protobuf", TABLE, PARTIAL, PARTIAL_LIST, "text/html", "", "*/*", "application/*",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io", "application/json;as=Nope;v=v1;g=meta.k8s.io", "application/json;q=0",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", "text/plain;q=0.5, */*;q=0.1",
    "application/json;stream=watch", "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", ";;;", "application/cbor",
)  # fmt: skip
PARAMETERS: dict[str, tuple[str, ...]] = {
    "labelSelector": (
        "a=b",
        "a!=b",
        "a in (b,c)",
        "!a",
        "a",
        "a>1",
        "a=é",
        "=",
        "a in",
        "a,,b",
        "a notin ()",
        "A/b/c=1",
    ),
    "fieldSelector": (
        "metadata.name=web",
        "metadata.namespace!=x",
        "spec.nodeName=",
        "nope=1",
        "status.phase",
        "a=b,c",
        "\\=",
    ),
    "limit": ("1", "0", "-1", "x", "99999999999999999999", "1.5"),
    "continue": ("$CONTINUE", "x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "é"),
    "resourceVersion": ("0", "$RV", "1", "", "x", "-1", "99999999999", "01"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "nope", ""),
    "timeoutSeconds": ("1", "0", "-1", "x"),
    "sendInitialEvents": ("true", "false", "x"),
    "allowWatchBookmarks": ("true", "x", "0"),
    "watch": ("true", "1", "false", "0", "x", ""),
    "timeout": ("1s", "0", "x", "-5s", "1h", "3"),
    "dryRun": ("All", "", "x", "all"),
    "fieldValidation": ("Strict", "Ignore", "x", ""),
    "fieldManager": ("m", "", "é", "a b"),
    "force": ("true", "false", "x", ""),
    "gracePeriodSeconds": ("0", "30", "-1", "x", "1.5"),
    "propagationPolicy": ("Orphan", "Background", "Foreground", "x", ""),
    "orphanDependents": ("true", "x"),
    "pretty": ("true", "x"),
    "includeObject": ("None", "Metadata", "Object", "x"),
    "ignoreStoreReadErrorWithClusterBreakingPotential": ("true", "x"),
    "shardSelector": ("x", ""),
    "nope": ("1",),
}


def create(b: Builder) -> None:
    """Objects that are valid but for a few members."""
    resource = b.resource(stored=False)
    for _ in range(b.mutation.some((2, 3, 4))):
        obj = b.mutated(b.object(resource), resource)
        if b.mutation.odds(0.1) and isinstance(obj.get("metadata"), dict):
            obj["metadata"]["generateName"] = b.mutation.some(("gen-", "GEN", "gen" + "a" * 70, "é-GEN"))
            obj["metadata"].pop("name", None)
        b.create(resource, obj, odd=True)


def update(b: Builder) -> None:
    """An object, and what replaces it."""
    resource, obj = _there(b)
    for _ in range(b.mutation.some((2, 3, 4))):
        new = b.mutated(json.loads(json.dumps(obj)), resource)
        metadata = new.get("metadata")
        if isinstance(metadata, dict) and b.mutation.odds(0.3):
            metadata |= b.mutation.some(
                ({"resourceVersion": "$RV"}, {"resourceVersion": "1"}, {"uid": "$UID"}, {"uid": "x"})
            )
        b.step("PUT", b.path(resource, obj), new, b.write_query(resource))
    b.step("GET", b.path(resource, obj))


def patch(b: Builder) -> None:
    """An object, and patches of all kinds."""
    resource, obj = _there(b)
    for _ in range(b.mutation.some((3, 4, 5))):
        _patch(b, resource, obj, b.path(resource, obj))
    b.step("GET", b.path(resource, obj))


def _patch(b: Builder, resource: Resource, obj: Object, path: str) -> None:
    new = b.mutated(json.loads(json.dumps(obj)), resource)
    media = b.mutation.some((MERGE, STRATEGIC, STRATEGIC, JSON_PATCH))
    body: Any = merge_patch(obj, new)
    if media == JSON_PATCH:
        body = list(json_patch(obj, new))
        if b.mutation.odds(0.6):
            body = [odd_operation(b.mutation, obj) for _ in range(b.mutation.some((1, 1, 2, 3)))]
    elif media == STRATEGIC and b.mutation.odds(0.4):
        body = direct(b.mutation, body)
    if b.mutation.odds(0.05):
        body = b.mutation.some(JUNK)
    b.step("PATCH", path, body, b.write_query(resource), media)


def apply(b: Builder) -> None:
    """Several managers who apply parts of an object, beside an update."""
    resource, obj = _there(b) if b.mutation.odds(0.5) else _absent(b)
    path = b.path(resource, obj)
    for _ in range(b.mutation.some((3, 4, 5))):
        part = b.mutation.thinned(json.loads(json.dumps(obj)), b.type(resource))
        if b.mutation.odds(0.5):
            part = b.mutated(part, resource, 1)
        if b.mutation.odds(0.05):
            part = direct(b.mutation, part)
        query = b.write_query(resource) | {"fieldManager": b.mutation.some(("m", "n", "o"))}
        if b.mutation.odds(0.4):
            query["force"] = b.mutation.some(("true", "true", "false"))
        if b.mutation.odds(0.05):
            query.pop("fieldManager")
        b.step("PATCH", path, part, query, APPLY)
    b.step("GET", path)


def delete(b: Builder) -> None:
    """An object, and deletions with options and preconditions."""
    resource, obj = _there(b)
    path = b.path(resource, obj)
    type = schema.for_kind("", "v1", "DeleteOptions")
    for _ in range(b.mutation.some((1, 2, 3))):
        options: Any = {"kind": "DeleteOptions", "apiVersion": b.mutation.some(("v1", "v1", "apps/v1", "x"))}
        b.mutation.mutate(options, type, b.mutation.some((0, 1, 2)))
        if b.mutation.odds(0.3):
            options["preconditions"] = b.mutation.some(
                ({"uid": "$UID"}, {"resourceVersion": "$RV"}, {"uid": "x"}, {})
            )
        if b.mutation.odds(0.1):
            options = b.mutation.some((*JUNK, obj))
        dry: dict[str, str] = {"dryRun": "All"} if resource.kind in CHANGES_ALL else {}
        for name in ("gracePeriodSeconds", "propagationPolicy", "orphanDependents", "dryRun"):
            if b.mutation.odds(0.1):
                dry[name] = b.mutation.some(PARAMETERS[name])
        b.step("DELETE", path, None if b.mutation.odds(0.3) else options, dry)
        b.step("GET", path)
    if resource.namespaced:
        b.step(
            "DELETE",
            b.collection(resource),
            query={"labelSelector": b.mutation.some(PARAMETERS["labelSelector"])},
        )
        b.step("GET", b.collection(resource))


def lists(b: Builder) -> None:
    """Two objects, and lists and watches with all parameters."""
    resource, obj = _there(b)
    if resource.namespaced:
        b.create(resource, {**obj, "metadata": {**obj["metadata"], "name": "other", "labels": {"a": "c"}}})
    for _ in range(b.mutation.some((3, 4, 5))):
        names = b.chance.sample(sorted(PARAMETERS), b.mutation.some((0, 1, 1, 2, 3)))
        query = {name: b.mutation.some(PARAMETERS[name]) for name in names}
        path = b.mutation.some((b.collection(resource), b.collection(resource), b.path(resource, obj)))
        b.step("GET", path, query=query, accept=b.mutation.some(ACCEPTS) if b.mutation.odds(0.4) else JSON)


def subresources(b: Builder) -> None:
    """An object, and what its subresources take."""
    resources = [r for r in creatable() if r.subresources and not r.virtual]
    resource = b.chance.choice(resources)
    obj = b.object(resource)
    b.create(resource, obj)
    for _ in range(b.mutation.some((3, 4, 5))):
        name = b.mutation.some(sorted(resource.subresources))
        _subresource(b, resource, obj, name, resource.subresources[name])
    b.step("GET", b.path(resource, obj))


def _subresource(b: Builder, resource: Resource, obj: Object, name: str, sub: Subresource) -> None:
    path = f"{b.path(resource, obj)}/{name}"
    if name in ("exec", "attach", "portforward", "proxy", "log"):
        b.step(
            "GET",
            path,
            query={
                b.mutation.some(("command", "container", "tailLines", "path", "ports")): b.mutation.some(
                    ODD_TEXTS
                )
            },
        )
        return
    if sub.kind == resource.kind:
        body = json.loads(json.dumps(obj)) | {"status": b.status(resource)}
        if b.mutation.odds(0.2):
            body = b.mutated(body, resource)
    else:
        type = schema.for_kind(sub.group, sub.version, sub.kind)
        spec: dict[str, Object] = {
            "Scale": {"spec": {"replicas": 3}},
            "TokenRequest": {"spec": {"audiences": ["api"]}},
            "Binding": {"target": {"name": "n"}},
        }
        body = {
            "apiVersion": f"{sub.group}/{sub.version}".lstrip("/"),
            "kind": sub.kind,
            "metadata": {"name": obj["metadata"]["name"]},
            **spec.get(sub.kind, {}),
        }
        b.mutation.mutate(body, type, b.mutation.some((0, 1, 2)))
    query = b.write_query(resource)
    verb = b.mutation.some(("get", *sub.verbs, *sub.verbs))
    if verb == "patch":
        media = b.mutation.some((MERGE, STRATEGIC, JSON_PATCH, APPLY))
        fragment: Any = {k: v for k, v in body.items() if k != "metadata" or media == APPLY}
        if media == JSON_PATCH:
            fragment = [odd_operation(b.mutation, body) for _ in range(2)]
        query |= {"fieldManager": "m", "force": "true"} if media == APPLY else {}
        b.step("PATCH", path, fragment, query, media)
    else:
        method = {"create": "POST", "update": "PUT", "delete": "DELETE"}.get(verb, "GET")
        b.step(method, path, None if method == "GET" else body, query if method != "GET" else {})


def heads(b: Builder) -> None:
    """Odd methods, paths, media types and bodies about an object that is there."""
    resource, obj = _there(b)
    one, all = b.path(resource, obj), b.collection(resource)
    paths = (
        one, all, f"{all}/", f"{one}/", f"{one}/status", f"{one}/nope", f"{one}/status/x", f"{all}/{obj['metadata']['name']}%2Fx",
        all.replace("/namespaces/", "//namespaces/"), "/api", "/apis", "/api/v1", "/apis/", "/api//v1", "/apis/apps", "/apis/apps/v9",
        "/api/v1/watch", "/api/v1/nope", f"/api/v1/watch/namespaces/{b.place}/pods", f"/api/v1/namespaces/{b.place}/finalize",
        "/apis//v1", "/api/v1/namespaces//pods", f"{all}/%00", f"{all}/é".replace("é", "%C3%A9"), f"{all}/..", "/openapi/v3/x", "/version/",
        "/healthz/nope", "/", "/nope", f"/api/v1/namespaces/{b.place}/pods/x/exec", f"/api/v1/namespaces/{b.place}/services/x/proxy/y",
    )  # fmt: skip
    methods = ("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "TRACE", "X")
    for _ in range(b.mutation.some((4, 5, 6))):
        method, path = b.mutation.some(methods), b.mutation.some(paths)
        names = b.chance.sample(sorted(PARAMETERS), b.mutation.some((0, 0, 1, 2)))
        query = {name: b.mutation.some(PARAMETERS[name]) for name in names}
        body = b.mutation.some((*RAW, json.dumps(obj).encode()))
        if method in ("DELETE", "PATCH", "PUT"):
            query["dryRun"] = "All"
        headers = {"accept": b.mutation.some(ACCEPTS)} if b.mutation.odds(0.5) else {}
        if b.mutation.odds(0.2):
            name = b.mutation.some(
                (
                    "impersonate-user",
                    "impersonate-group",
                    "impersonate-uid",
                    "if-none-match",
                    "accept-encoding",
                    "upgrade",
                )
            )
            headers[name] = b.mutation.some(("a", "", "system:serviceaccount:a:b", "gzip", "websocket", "é"))
        b.step(
            method,
            path,
            body if method not in ("GET", "HEAD", "get") else None,
            query,
            b.mutation.some(MEDIA),
            **headers,
        )


def _there(b: Builder) -> tuple[Resource, Object]:
    """An object that the scenario has made."""
    resource, obj = _absent(b)
    b.create(resource, obj)
    return resource, obj


def _absent(b: Builder) -> tuple[Resource, Object]:
    resource = b.resource()
    return resource, b.object(resource)


AREAS: dict[str, Callable[[Builder], None]] = {
    "create": create,
    "update": update,
    "patch": patch,
    "apply": apply,
    "delete": delete,
    "list": lists,
    "subresource": subresources,
    "head": heads,
    "definition": definitions,
    "custom": custom,
}


def grow(run: str, seed: int, area: str, number: int) -> Scenario:
    """The scenario of a seed, an area and a number;
    `run` keeps the names of one run apart from those of others."""
    builder = Builder(run, seed, area, number)
    AREAS[area](builder)
    return builder.scenario()
