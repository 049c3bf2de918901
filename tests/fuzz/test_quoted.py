"""No answer repeats much of what was sent:
malformed bodies, names and parameters of every verb, in process."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from example_scale import SCALE
from harness import CONFIG_MAPS, PODS, Rig, pod
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.server.request import Response

MOST = 1 << 20
"""Bytes of an answer. A text is quoted with 1,024 characters at the most, an object with 131,072,
each in the message and in its cause.
A character that is escaped for the quotes and again for JSON takes up to 8 bytes."""
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/d"
REVIEWS = "/apis/authorization.k8s.io/v1"
CUSTOM = "/apis/x.io/v1/namespaces/default/foos"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

BODIES = [
    b"%s",
    b'"%s"',
    b"{%s",
    b'{"%s":1}',
    b'{"a":"%s',
    b'{"a":%s}',
    b'["%s"]',
    b'[{"op":"%s","path":"/x"}]',
    b'[{"op":"add","path":"%s","value":1}]',
    b'[{"op":"test","path":"/metadata/name","value":"%s"}]',
    b'[{"op":"replace","path":"/metadata/name","value":"%s"}]',
    b"k8s\0%s",
    b"k8s\0\x0a\x05\x0a\x03%s",
    b'{"kind":"%s","apiVersion":"v1"}',
    b'{"kind":"ConfigMap","apiVersion":"%s"}',
    b'{"kind":"ConfigMap","apiVersion":"v1","%s":1}',
    b'{"metadata":{"name":"%s"}}',
    b'{"metadata":{"generateName":"%s"}}',
    b'{"metadata":{"name":"a","namespace":"%s"}}',
    b'{"metadata":{"name":"a","labels":{"%s":"%s"}}}',
    b'{"metadata":{"name":"a","annotations":{"%s":"v"}}}',
    b'{"metadata":{"name":"a","generation":"%s"}}',
    b'{"metadata":{"name":"a","creationTimestamp":"%s"}}',
    b'{"metadata":{"name":"a","uid":"%s","resourceVersion":"%s"}}',
    b'{"metadata":{"name":"a","finalizers":["%s"]}}',
    b'{"metadata":{"name":"a","ownerReferences":[{"kind":"%s","name":"%s","apiVersion":"%s","uid":"u"}]}}',
    b'{"metadata":{"name":"a"},"data":{"%s":"v"}}',
    b'{"metadata":{"name":"a"},"spec":{"containers":[{"name":"%s","image":"i","imagePullPolicy":"%s"}]}}',
    b'{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"%s"}}}]}}',
    b'{"apiVersion":"x.io/v1","kind":"Foo","metadata":{"name":"a"},"spec":{"n":"%s","s":"%s"}}',
    b'{"metadata":{"name":"d"},"spec":{"replicas":"%s"}}',
    b'{"$patch":"%s"}',
    b'{"metadata":{"$patch":"%s"}}',
    b'{"spec":{"containers":[{"image":"%s"}]}}',
    b'{"spec":{"user":"","resourceAttributes":{"verb":"%s","fieldSelector":{"rawSelector":"%s"}}}}',
    b'{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"%s","dryRun":["%s"]}',
    b'{"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"%s","resourceVersion":"%s"}}',
    b'{"metadata":{"name":"p"},"deleteOptions":{"dryRun":["%s"]}}',
    b'{"metadata":{"name":"p"},"target":{"kind":"%s","name":"%s"}}',
    b"a: %s\n\tb: [",
    b"&%s *%s",
    b"!%s x",
    b"%s: 1\n%s: 2\n",
]
JUNK = [b"x", b"\xff", b"/", b"%", b"\\\\", b"9", b"A.", "é".encode(), b"a,", b"{}", b"\\u0000"]
PATHS = [
    ("POST", CONFIG_MAPS),
    ("POST", PODS),
    ("POST", CUSTOM),
    ("POST", DEFINITIONS),
    ("POST", f"{REVIEWS}/subjectaccessreviews"),
    ("POST", f"{PODS}/p/eviction"),
    ("POST", f"{PODS}/p/binding"),
    ("PUT", f"{CONFIG_MAPS}/a"),
    ("PUT", f"{PODS}/p"),
    ("PUT", f"{PODS}/p/status"),
    ("PUT", f"{DEPLOYMENT}/scale"),
    ("PATCH", f"{CONFIG_MAPS}/a"),
    ("PATCH", f"{PODS}/p"),
    ("PATCH", f"{DEPLOYMENT}/scale"),
    ("PATCH", f"{CUSTOM}/a"),
    ("DELETE", f"{CONFIG_MAPS}/none"),
    ("DELETE", CONFIG_MAPS),
]
MEDIA = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
PATCHES = [f"application/{form}+json" for form in ("json-patch", "merge-patch", "strategic-merge-patch")]
PATCHES.append("application/apply-patch+yaml")
READS = ["GET", "HEAD", "DELETE", "PUT", "POST", "PATCH", "OPTIONS"]
PARAMETERS = [
    "fieldManager", "fieldSelector", "labelSelector", "limit", "continue", "resourceVersion",
    "resourceVersionMatch", "dryRun", "fieldValidation", "timeoutSeconds", "timeout", "propagationPolicy",
    "pretty", "gracePeriodSeconds", "watch", "sendInitialEvents", "force", "includeObject", "tailLines",
    "container", "command", "path",
]  # fmt: skip
NAMED = [CONFIG_MAPS, PODS, "/api", "/apis", CUSTOM, "/openapi/v3", "/api/v1/namespaces", "/logs", ""]
DEFINITION = {
    "metadata": {"name": "foos.x.io"},
    "spec": {
        "group": "x.io",
        "names": {"plural": "foos", "kind": "Foo"},
        "scope": "Namespaced",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {
                    "n": {"type": "integer"}, "s": {"type": "string", "enum": ["a"]},
                }}},
            }}},
        ],
    },
}  # fmt: skip


class Served:
    """A server that has one object of each kind."""

    def __init__(self, runner: asyncio.Runner, rig: Rig) -> None:
        self._runner = runner
        self._rig = rig

    def ask(self, *args: Any, **kwargs: Any) -> int:
        """Send a request, and check its answer; gives its status."""
        response = self._runner.run(self._rig.respond(*args, **kwargs))
        check(response)
        return response.status


def check(response: Response) -> None:
    """The answer is short: what it says, its headers, its warnings."""
    if response.start is not None or response.status < 400:
        return
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    assert len(body) <= MOST, (response.status, len(body), body[:300])
    assert sum(len(name) + len(value) for name, value in response.headers) <= MOST
    if response.on_done is not None:
        response.on_done(len(body), None)


async def filled(rig: Rig) -> None:
    await rig.config_map("a")
    await rig.ok("POST", PODS, pod("p"))
    await rig.ok("POST", DEFINITIONS, DEFINITION)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await rig.ok("POST", DEPLOYMENT.rpartition("/")[0], {"metadata": {"name": "d"}, "spec": spec})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with asyncio.Runner() as runner:
        rig = Rig()
        runner.run(rig.start())
        runner.run(filled(rig))
        yield Served(runner, rig)
        runner.run(rig.stop())


def send(served: Served, path: tuple[str, str], media: str, body: bytes, query: str = "") -> int:
    query = "fieldManager=m" if "apply" in media else query
    return served.ask(path[0], f"{path[1]}?{query}", body, headers={"Content-Type": media})


def test_a_body_of_wrong_bytes_has_a_short_answer(served: Served) -> None:
    junk = b"\xff" * 2_900_000
    for body in (junk, b'{"kind":"%s","apiVersion":"v1"}' % junk, b'{"data":{"a":"%s"}}' % junk):
        assert send(served, ("POST", CONFIG_MAPS), "application/json", body) == 400
        assert send(served, ("PATCH", f"{CONFIG_MAPS}/a"), PATCHES[1], body) == 400


@settings(max_examples=100 * SCALE, deadline=None)
@given(
    path=st.sampled_from(PATHS),
    media=st.integers(0, 3),
    body=st.sampled_from(BODIES),
    junk=st.sampled_from(JUNK),
    times=st.integers(4_000, 60_000),
    strict=st.booleans(),
)
def test_an_answer_repeats_little_of_a_body(
    served: Served, path: tuple[str, str], media: int, body: bytes, junk: bytes, times: int, strict: bool
) -> None:
    kinds = PATCHES if path[0] == "PATCH" else MEDIA
    query = "fieldValidation=Strict" if strict and path[0] in ("POST", "PUT") else ""
    send(served, path, kinds[media % len(kinds)], body.replace(b"%s", junk * times), query)


@settings(max_examples=100 * SCALE, deadline=None)
@given(
    method=st.sampled_from(READS),
    path=st.sampled_from([CONFIG_MAPS, f"{CONFIG_MAPS}/a", PODS, f"{PODS}/p/log", f"{PODS}/p/exec", "/api"]),
    parameter=st.sampled_from(PARAMETERS),
    junk=st.sampled_from(["x", "%FF", "-", "a=b,", "%25", "9", "!", "%C3%A9"]),
    times=st.integers(4_000, 100_000),
)
def test_an_answer_repeats_little_of_a_parameter(
    served: Served, method: str, path: str, parameter: str, junk: str, times: int
) -> None:
    served.ask(
        method, f"{path}?{parameter}={junk * times}", b"{}" if method in ("POST", "PUT", "PATCH") else None
    )


@settings(max_examples=50 * SCALE, deadline=None)
@given(
    method=st.sampled_from(READS),
    path=st.sampled_from(NAMED),
    user=st.sampled_from(["admin", "jane", ""]),
    junk=st.sampled_from(["x", "%FF", "X", "%2F", "%25", "/a", "%C3%A9"]),
    times=st.integers(4_000, 100_000),
)
def test_an_answer_repeats_little_of_a_path(
    served: Served, method: str, path: str, user: str, junk: str, times: int
) -> None:
    served.ask(method, f"{path}/{junk * times}", user=user)


@pytest.mark.parametrize(
    "header", ["Content-Type", "Accept", "Impersonate-User", "Impersonate-Group", "Origin"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_an_answer_repeats_little_of_a_header(served: Served, method: str, header: str) -> None:
    for user in ("admin", "jane", ""):
        served.ask(method, f"{CONFIG_MAPS}/a", b"{}", user=user, headers={header: "x" * 100_000})
