"""Bodies that take long to read do not hold up the loop."""

import threading
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, pod

from pilothouse.offload import INLINE

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
YAML = {"Content-Type": "application/yaml"}
PADDING = b"# a comment\n" * (INLINE // 10)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The names of the threads on which YAML was read."""
    from pilothouse.api.yaml import reader as yaml

    found, parse = [], yaml.parse

    def noted(data: Any) -> Any:
        found.append(threading.current_thread().name)
        return parse(data)

    monkeypatch.setattr(yaml, "parse", noted)
    return found


async def test_long_yaml_of_every_sort_is_read_on_a_thread(rig: Rig, threads: Any) -> None:
    await rig.ok("POST", PODS, pod("a"))
    await rig.config_map("a")
    eviction = b"apiVersion: policy/v1\nkind: Eviction\nmetadata: {name: a}\n"
    review = b"spec: {resourceAttributes: {verb: get, resource: pods}}\n"
    await rig.ok("POST", REVIEWS, review + PADDING, headers=YAML)
    await rig.ok("POST", CONFIG_MAPS, b"metadata: {name: b}\n" + PADDING, headers=YAML)
    await rig.ok("POST", PODS + "/a/eviction", eviction + PADDING, headers=YAML)
    await rig.ok("DELETE", CONFIG_MAPS + "/a", b"gracePeriodSeconds: 0\n" + PADDING, headers=YAML)
    assert len(threads) == 4 and threading.main_thread().name not in threads


async def test_short_bodies_are_read_at_once(rig: Rig, threads: Any) -> None:
    await rig.ok("POST", CONFIG_MAPS, b"metadata: {name: b}\n", headers=YAML)
    assert threads == [threading.main_thread().name]


async def test_a_review_that_repeats_a_key_is_answered(rig: Rig) -> None:
    text = b"apiVersion: authorization.k8s.io/v1\n" + b"spec: {}\n" * 50_000
    answer = await rig.call("POST", REVIEWS, text, headers=YAML)
    assert answer.status == 422 and 0 < len(answer.warnings) <= 100
    strict = await rig.call("POST", REVIEWS + "?fieldValidation=Strict", text, headers=YAML)
    assert strict.status == 400 and len(strict.body["message"]) < 10_000
