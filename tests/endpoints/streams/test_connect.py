"""CONNECT requests pass admission before anything is sent to a kubelet, a pod or a service."""

from typing import Any

import pytest
from harness import PODS, Rig, plug, pod

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.endpoints.dispatch import STREAMED
from pilothouse.endpoints.streams import connect
from pilothouse.registry.resource import Action

SERVICES = "/api/v1/namespaces/default/services"
STREAMS = {"stdout": True, "stderr": True}


class Refuse(AdmissionPlugin):
    """Keeps what it sees of a CONNECT, and refuses it in one of the halves."""

    def __init__(self, half: Any) -> None:
        self.half = half
        self.seen: list[Any] = []

    def wants(self, a: Any) -> bool:
        return a.operation == "CONNECT"

    def mutate(self, a: Any) -> None:
        if self.half == "mutate":
            self._refuse(a)

    async def validate(self, a: Any) -> None:
        self._refuse(a)

    def _refuse(self, a: Any) -> None:
        place = (a.resource.plural, a.subresource, a.namespace, a.name)
        self.seen.append((a.kind, place, a.obj, a.old, a.dry_run))
        raise a.refuse("not here")


def test_what_connects_is_dispatched_as_a_stream() -> None:
    assert {Action.LOG, *connect.OPTIONS} == STREAMED


@pytest.mark.parametrize("half", ["mutate", "validate"])
@pytest.mark.parametrize(
    ("target", "kind", "members"),
    [
        (
            PODS + "/a/exec?command=ls&command=-l&container=c&stdin=1&tty=false",
            "PodExecOptions",
            {**STREAMS, "stdin": True, "container": "c", "command": ["ls", "-l"]},
        ),
        (PODS + "/a/attach?tty=true", "PodAttachOptions", {**STREAMS, "tty": True}),
        (PODS + "/a/portforward?ports=80&ports=81", "PodPortForwardOptions", {"ports": [80, 81]}),
        (PODS + "/a/portforward", "PodPortForwardOptions", {}),
        (PODS + "/a/proxy/x/y/?q=1", "PodProxyOptions", {"path": "/x/y/"}),
        (PODS + "/a/proxy", "PodProxyOptions", {}),
        (SERVICES + "/a/proxy/", "ServiceProxyOptions", {"path": "/"}),
        ("/api/v1/nodes/a/proxy/metrics", "NodeProxyOptions", {"path": "/metrics"}),
    ],
)
async def test_what_a_plugin_sees_of_a_connect(
    rig: Rig, half: str, target: Any, kind: str, members: dict[str, Any]
) -> None:
    plugin = Refuse(half)
    plug(rig.chain, plugin)
    path = target.partition("?")[0].strip("/").split("/")
    plural, sub = next(
        (p, s)
        for p in ("pods", "services", "nodes")
        for s in path
        if p in path and s in ("exec", "attach", "portforward", "proxy")
    )
    message = await rig.fail(403, "GET", target)
    assert message == f'{plural} "a" is forbidden: not here', "before the pod is even looked for"
    place = (plural, sub, "" if plural == "nodes" else "default", "a")
    obj = {"kind": kind, "apiVersion": "v1", **members}
    assert plugin.seen == [(("", "v1", kind), place, obj, None, False)]


async def test_every_method_of_a_proxy_is_a_connect(rig: Rig) -> None:
    plugin = Refuse("validate")
    plug(rig.chain, plugin)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        await rig.fail(403, method, PODS + "/https:a:443/proxy/x", {})
    assert [place[3] for _, place, *_ in plugin.seen] == ["https:a:443"] * 5


async def test_a_log_is_none(rig: Rig) -> None:
    plugin = Refuse("validate")
    plug(rig.chain, plugin)
    await rig.ok("POST", PODS, pod("a"))
    assert (await rig.call("GET", PODS + "/a/log")).status == 204
    assert plugin.seen == []


async def test_what_is_refused_before(rig: Rig) -> None:
    plugin = Refuse("validate")
    plug(rig.chain, plugin)
    assert await rig.fail(400, "GET", PODS + "/a/exec?dryRun=All") == "dryRun is not supported"
    for method, sub in (("PUT", "exec"), ("HEAD", "exec"), ("TRACE", "proxy"), ("get", "proxy/x")):
        assert (await rig.call(method, f"{PODS}/a/{sub}")).status == 405
    for text, why in (("x", "invalid syntax"), ("2147483648", "value out of range"), ("", "invalid syntax")):
        message = await rig.fail(400, "GET", f"{PODS}/a/portforward?ports={text}")
        assert message == f'strconv.ParseInt: parsing "{text}": {why}'
    assert plugin.seen == []


async def test_what_admission_allows_goes_on(rig: Rig) -> None:
    assert await rig.fail(404, "GET", PODS + "/a/exec") == 'pods "a" not found'


class Change(AdmissionPlugin):
    """Changes the options of a CONNECT."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def wants(self, a: Any) -> bool:
        return a.operation == "CONNECT"

    def mutate(self, a: Any) -> dict[str, Any]:
        return {**a.obj, **self.options}


async def test_what_a_plugin_makes_of_the_options_counts(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    assert await rig.fail(400, "GET", PODS + "/a/exec?container=c") == "pod a does not have a host assigned"
    plug(rig.chain, Change(container="other"))
    message = await rig.fail(400, "GET", PODS + "/a/exec?container=c")
    assert message == "container other is not valid for pod a"
