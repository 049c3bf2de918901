"""Bodies that take long to decode do not block the event loop."""

import threading
from typing import Any

from harness import CONFIG_MAPS, PODS, Rig, pod

from pilothouse.offload import INLINE

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
YAML = {"Content-Type": "application/yaml"}
PADDING = b"# a comment\n" * (INLINE // 10)


class Body(bytes):
    """A body that notes the names of the threads on which it is decoded."""

    threads: list[str]

    def decode(self, *args: Any, **kwargs: Any) -> str:
        self.threads.append(threading.current_thread().name)
        return super().decode(*args, **kwargs)


async def decoding_threads(rig: Rig, method: str, target: Any, text: bytes) -> Any:
    """The threads on which the body of a request is decoded."""
    body = Body(text)
    body.threads = []
    await rig.ok(method, target, body, headers=YAML)
    return body.threads


async def test_long_yaml_of_every_sort_is_read_on_a_thread(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    await rig.config_map("a")
    for method, target, text in (
        ("POST", REVIEWS, b"spec: {resourceAttributes: {verb: get, resource: pods}}\n"),
        ("POST", CONFIG_MAPS, b"metadata: {name: b}\n"),
        ("POST", PODS + "/a/eviction", b"apiVersion: policy/v1\nkind: Eviction\nmetadata: {name: a}\n"),
        ("DELETE", CONFIG_MAPS + "/a", b"gracePeriodSeconds: 0\n"),
    ):
        threads = await decoding_threads(rig, method, target, text + PADDING)
        assert len(threads) == 1 and threads[0] != threading.main_thread().name, target


async def test_short_bodies_are_read_at_once(rig: Rig) -> None:
    threads = await decoding_threads(rig, "POST", CONFIG_MAPS, b"metadata: {name: b}\n")
    assert threads == [threading.main_thread().name]


async def test_a_review_that_repeats_a_key_is_answered(rig: Rig) -> None:
    text = b"apiVersion: authorization.k8s.io/v1\n" + b"spec: {}\n" * 50_000
    answer = await rig.call("POST", REVIEWS, text, headers=YAML)
    assert answer.status == 422 and 0 < len(answer.warnings) <= 100
    strict = await rig.call("POST", REVIEWS + "?fieldValidation=Strict", text, headers=YAML)
    assert strict.status == 400 and len(strict.body["message"]) < 10_000
