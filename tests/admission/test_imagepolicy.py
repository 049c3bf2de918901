"""ImagePolicyWebhook: what it asks, what it remembers, and what its failures lead to."""

import asyncio
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from clocks import Clock
from harness import PODS, Rig, pod
from outbound.test_kubeconfig import kubeconfig

from pilothouse.admission.chain import Chain
from pilothouse.admission.imagepolicy import FAILED_OPEN, KEPT, ImagePolicyWebhook, read
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.api.configfile import ConfigurationError


class Service:
    """A server that asks a service of images; `answers` are its next ones, the last for ever."""

    def __init__(self, folder: pathlib.Path, **settings: Any) -> None:
        self.folder, self.settings = folder, settings
        self.backend = Backend(folder, self._answer)
        self.answers: list[Any] = [{"allowed": True}]
        self.clock = Clock()
        self.pauses: list[float] = []
        self.rig = Rig()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(answer if "kind" in answer else {"status": answer})

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def start(self) -> None:
        await self.backend.__aenter__()
        url = f"https://127.0.0.1:{self.backend.port}/images"
        path = kubeconfig(self.folder, url, self.backend.ca, {"token": "secret"})
        section = {"imagePolicy": {"kubeConfigFile": str(path), **self.settings}}
        plugin = ImagePolicyWebhook(section, self.rig.outbound, self.clock, self._sleep)
        self.plugin = plugin
        self.rig.chain = Chain([NamespaceLifecycle(), plugin])
        await self.rig.start()

    async def stop(self) -> None:
        await self.rig.stop()
        await self.backend.__aexit__()

    def asked(self) -> list[Any]:
        return [json.loads(body)["spec"] for _, _, _, body in self.backend.requests]


@pytest.fixture
def service(runner: asyncio.Runner, tmp_path: pathlib.Path) -> Iterator[Service]:
    service = Service(tmp_path)
    runner.run(service.start())
    yield service
    runner.run(service.stop())


async def test_what_is_asked(service: Service) -> None:
    mine = {"x.image-policy.k8s.io/ticket": "1", "other": "2"}
    init = {"initContainers": [{"name": "i", "image": "busybox"}]}
    await service.rig.ok("POST", PODS, pod("p", annotations=mine, spec=init))
    (method, path, headers, body) = service.backend.requests[0]
    assert (method, path, headers["authorization"]) == ("POST", "/images?timeout=30s", ["Bearer secret"])
    assert json.loads(body) == {
        "kind": "ImageReview",
        "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "metadata": {},
        "spec": {
            "containers": [{"image": "nginx"}, {"image": "busybox"}],
            "annotations": {"x.image-policy.k8s.io/ticket": "1"},
            "namespace": "default",
        },
        "status": {"allowed": False},
    }
    await service.rig.ok("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}})
    assert len(service.backend.requests) == 1


async def test_ephemeral_containers(service: Service) -> None:
    made = await service.rig.ok("POST", PODS, pod("p"))
    made["spec"]["ephemeralContainers"] = [{"name": "e", "image": "debugger"}]
    await service.rig.ok("PUT", f"{PODS}/p/ephemeralcontainers", made)
    assert service.asked()[-1] == {"containers": [{"image": "debugger"}], "namespace": "default"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"allowed": False, "reason": "old"}, "image policy webhook backend denied one or more images: old"),
        ({"allowed": False}, "one or more images rejected by webhook backend"),
        ({}, "one or more images rejected by webhook backend"),
    ],
)
async def test_refusals(service: Service, status: Any, why: str) -> None:
    service.answers = [status]
    assert await service.rig.fail(403, "POST", PODS, pod("p")) == f'pods "p" is forbidden: {why}'


async def test_answers_are_remembered_for_a_while(service: Service) -> None:
    rig = service.rig
    service.answers = [{"allowed": False}, {"allowed": True}, {"allowed": False}]
    for name in ("a", "b"):
        await rig.fail(403, "POST", PODS, pod(name))
    assert len(service.backend.requests) == 1
    service.clock.now += 31
    for name in ("a", "b"):
        await rig.ok("POST", PODS, pod(name))
    assert len(service.backend.requests) == 2
    service.clock.now += 301
    await rig.fail(403, "POST", PODS, pod("c"))


async def test_not_too_much_is_remembered(service: Service) -> None:
    for i in range(KEPT + 10):
        service.plugin._remember(str(i).encode(), {"allowed": True})
    assert len(service.plugin._known) == KEPT and b"0" not in service.plugin._known
    service.plugin._remember(b"long", {"allowed": True, "reason": "x" * 10_000})
    assert b"long" not in service.plugin._known


async def test_the_service_is_asked_again(service: Service) -> None:
    service.answers = [500, 429, 504, {"allowed": True}]
    await service.rig.ok("POST", PODS, pod("p"))
    assert len(service.backend.requests) == 4
    assert [0.5 <= a < 0.6 + b for a, b in zip(service.pauses, (0.0, 0.3, 0.75), strict=True)]
    assert service.pauses == sorted(service.pauses)
    service.answers = [500]
    assert await service.rig.fail(
        403, "POST", PODS, pod("q", annotations={"a.image-policy.k8s.io/b": ""})
    ) == ('pods "q" is forbidden: an error on the server ("") has prevented the request from succeeding')
    assert len(service.backend.requests) == 9
    service.answers = [400]
    await service.rig.fail(403, "POST", PODS, pod("q", annotations={"a.image-policy.k8s.io/b": "c"}))
    assert len(service.backend.requests) == 10


async def test_pods_that_are_let_in_though_the_service_fails(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    service = Service(tmp_path, defaultAllow=True)
    await service.start()
    try:
        service.answers = [400]
        made = await service.rig.ok("POST", PODS, pod("p"))
        assert made["metadata"]["annotations"] == {FAILED_OPEN: "true"}
        assert (await service.rig.ok("GET", f"{PODS}/p"))["metadata"]["annotations"] == {FAILED_OPEN: "true"}
        service.answers = [{"allowed": False}]
        await service.rig.fail(403, "POST", PODS, pod("q")), "a failure is not remembered"
    finally:
        await service.stop()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            {"kind": "Pod", "apiVersion": "v1"},
            'no kind "Pod" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
        ),
        (
            {"allowed": "yes"},
            "json: cannot unmarshal string into Go struct field ImageReview.status.allowed of type bool",
        ),
        (
            {"auditAnnotations": {"a": 1}},
            (
                "json: cannot unmarshal number into Go struct field ImageReview.status.auditAnnotations of"
                " type string"
            ),
        ),
    ],
)
async def test_broken_answers(service: Service, answer: Any, why: str) -> None:
    service.answers = [answer]
    assert await service.rig.fail(403, "POST", PODS, pod("p")) == f'pods "p" is forbidden: {why}'


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"allowTTL": 3600}, "valid value is between 1s and 30m0s, got 1h0m0s"),
        ({"denyTTL": 1}, "valid value is between 1s and 30m0s, got 1s"),
        ({"retryBackoff": 300_001}, "valid value is between 1ns and 5m0s, got 5m0.001s"),
        ({"allowTTL": "5m"}, "imagePolicy.allowTTL: it must be a number"),
    ],
)
def test_settings_that_cannot_be(settings: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as err:
        read({"imagePolicy": settings})
    assert str(err.value) == why


def test_settings() -> None:
    off = {"allowTTL": -1, "denyTTL": 60, "retryBackoff": -1, "defaultAllow": True, "kubeConfigFile": "/f"}
    versioned = {
        "apiVersion": "imagepolicy.admission.k8s.io/v1alpha1",
        "kind": "ImagePolicyWebhookConfiguration",
    }
    assert read({**versioned, "imagePolicy": off}) == ("/f", 0.0, 60.0, 0.0, True)
    assert read({"imagePolicy": {}}) == ("", 300.0, 30.0, 0.5, False)


async def test_another_service_is_asked_at_once(service: Service) -> None:
    """Verdicts of the former service are forgotten; settings that cannot be used change nothing."""
    rig = service.rig
    await rig.ok("POST", PODS, pod("a"))
    folder = service.folder / "other"
    folder.mkdir()
    other = Service(folder)
    async with other.backend:
        other.answers = [{"allowed": False}]
        url = f"https://127.0.0.1:{other.backend.port}/images"
        path = kubeconfig(folder, url, other.backend.ca, {})
        for section in (None, {"imagePolicy": {"kubeConfigFile": "/none"}}):
            with pytest.raises(ConfigurationError):
                service.plugin.prepare(section)
        use = service.plugin.prepare({"imagePolicy": {"kubeConfigFile": str(path)}})
        await rig.ok("POST", PODS, pod("b"))
        use()
        await rig.fail(403, "POST", PODS, pod("c"))
        assert len(other.backend.requests) == 1
