"""The differ of workloads finds nothing between two clusters alike, and what differs between two others."""

import copy
import pathlib
from typing import Any

import pytest
from workloads.normal import normalised
from workloads.runs import AREAS, Report, cases, duel
from workloads.sides import Side

Object = dict[str, Any]


def state(code: str, uid: str, ip: str, **status: Any) -> dict[str, list[Object]]:
    """A replica set with a pod, as another run would have them."""
    labels = {"app": "web", "pod-template-hash": code}
    owner = [{"kind": "ReplicaSet", "name": f"web-{code}", "uid": uid}]
    pod = {
        "name": f"web-{code}-x7k2p",
        "generateName": f"web-{code}-",
        "labels": labels,
        "ownerReferences": owner,
    }
    notes = {"deployment.kubernetes.io/revision": "1"}
    about = {"kind": "ReplicaSet", "name": f"web-{code}"}
    told = {"reason": "SuccessfulCreate", "type": "Normal", "message": f"Created pod: web-{code}-x7k2p"}
    replica_set = {"name": f"web-{code}", "labels": labels, "annotations": notes, "uid": uid, "generation": 3}
    return {
        "ReplicaSet": [{"metadata": replica_set, "status": {"observedGeneration": 3, **status}}],
        "Pod": [{"metadata": pod, "status": {"podIP": ip, "startTime": "2026-01-02T03:04:05Z"}}],
        "Event": [{"metadata": {}, "involvedObject": about, "source": {"component": "x"}, **told}],
    }


ONE = state("6c5f8b9d7f", "0a8c3c1e-0000-4000-8000-000000000001", "10.244.0.2", replicas=1)


def test_what_differs_from_run_to_run_is_hidden() -> None:
    other = state("7d4fbb54c", "0a8c3c1e-0000-4000-8000-000000000002", "10.244.3.7", replicas=1)
    assert normalised(ONE, places=True) == normalised(other, places=True)
    assert "ReplicaSet web-<template 1>" in normalised(ONE, places=True)


def test_numbers_and_what_is_left_behind_count() -> None:
    [case] = cases(1, 1, ["deploy"])
    wrong = copy.deepcopy(ONE)
    wrong["ReplicaSet"][0]["status"] = {"observedGeneration": 2, "replicas": 2}
    report = Report()
    report.add(case, ONE, wrong)
    assert report.status["deploy-000"] == [
        "ReplicaSet web-<template 1>.status.observedGeneration: 'current' wanted, 'behind' found",
        "ReplicaSet web-<template 1>.status.replicas: 1 wanted, 2 found",
    ]
    assert report.share == 0.0


def test_of_hints_it_counts_how_many_are_for_each_zone() -> None:
    def hinted(*zones: str) -> dict[str, list[Object]]:
        endpoints = [{"zone": "a", "hints": {"forZones": [{"name": zone}]}} for zone in zones]
        return {"EndpointSlice": [{"metadata": {"name": "web"}, "endpoints": endpoints}]}

    def same(one: dict[str, list[Object]], other: dict[str, list[Object]], zones: bool) -> bool:
        return normalised(one, places=False, zones=zones) == normalised(other, places=False, zones=zones)

    assert same(hinted("a", "b"), hinted("b", "a"), zones=True)
    assert same(hinted("a", "b"), hinted("b", "b"), zones=False)
    assert not same(hinted("a", "b"), hinted("b", "b"), zones=True)


def test_events_and_labels_are_told_apart_from_the_status() -> None:
    [case] = cases(1, 1, ["deploy"])
    wrong = copy.deepcopy(ONE)
    wrong["Event"], wrong["Pod"][0]["metadata"]["labels"] = [], {}
    report = Report()
    report.add(case, ONE, wrong)
    assert report.share == 1.0
    assert len(report.events["deploy-000"]) == 1 and report.objects["deploy-000"]
    assert report.lines()


def test_a_seed_makes_the_same_cases_again() -> None:
    def made(seed: int) -> list[Any]:
        return [(case.namespace, case.steps) for case in cases(seed, 60)]

    assert made(3) == made(3) != made(4)
    assert {case.area for case in cases(3, 60)} == set(AREAS)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_clusters_alike_end_alike_and_one_without_a_controller_is_found_out(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    chosen = cases(5, 3, ["set", "budget"])
    off = "*,-disruption-controller"
    with (
        Side(tmp_path / "a", patience=0.2) as one,
        Side(tmp_path / "b", controllers=off, patience=0.2) as other,
    ):
        report = duel(one, other, chosen, None, len(chosen))
    assert {name.partition("-")[0] for name in report.status} == {"budget"}
