"""Pods, workloads and namespaces before the pod security standards."""

import asyncio
from typing import Any

import pytest
from harness import PODS, Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.podsecurity.configuration import Configuration
from pilothouse.admission.podsecurity.plugin import TEMPLATES, PodSecurity
from pilothouse.admission.podsecurity.policy import PREFIX, LevelVersion, PodSecurityLevels
from pilothouse.api.values.identity import User

HOST = {"hostNetwork": True}
HOST_TEXT = "host namespaces (hostNetwork=true)"
NAMESPACES = ("", "v1", "namespaces")
NAMESPACE = "/api/v1/namespaces/default"


def labels(**members: Any) -> dict[Any, Any]:
    return {PREFIX + name.replace("_", "-"): value for name, value in members.items()}


async def label(rig: Rig, **members: Any) -> None:
    """Give the namespace `default` these labels."""
    await rig.ok("PUT", NAMESPACE, {"metadata": {"name": "default", "labels": labels(**members)}})


def judge(
    rig: Rig, obj: Any = None, old: Any = None, *, plugin: Any = None, user: str = "", **more: Any
) -> tuple[Any, Any, Any]:
    """The attributes after the plugin has had its say, and the message of its refusal."""
    asked = rig.attributes(obj or pod("p", spec=HOST), old, **more)
    if user:
        asked.user = User(user)
    plugin = plugin or PodSecurity()
    refused = ""
    if is_asked(plugin, asked):
        try:
            assert plugin.validate(asked) is None
        except errors.StatusError as err:
            refused = err.message
    notes = {name.removeprefix(PREFIX): text for name, text in asked.annotations.items()}
    return refused, asked.warnings, notes


async def test_all_is_allowed_without_labels(rig: Rig) -> None:
    metrics = AdmissionMetrics()
    assert judge(rig, plugin=PodSecurity(metrics=metrics)) == (
        "",
        [],
        {"enforce-policy": "privileged:latest"},
    )
    series = {("allow", "enforce", "privileged", "latest", "create", "pod", ""): 1}
    assert metrics.pod_security_evaluations.values == series


async def test_a_pod_is_refused(rig: Rig) -> None:
    await label(rig, enforce="baseline", audit="restricted", warn="restricted")
    refused, warnings, notes = judge(rig)
    assert refused == f'pods "p" is forbidden: violates PodSecurity "baseline:latest": {HOST_TEXT}'
    assert warnings == []  # who is refused need not be warned
    assert notes["enforce-policy"] == "baseline:latest"
    assert notes["audit-violations"].startswith(
        f'would violate PodSecurity "restricted:latest": {HOST_TEXT}, allow'
    )


async def test_a_pod_is_warned_of(rig: Rig) -> None:
    await label(rig, warn="baseline", warn_version="v1.20", audit="baseline")
    assert judge(rig) == (
        "",
        [f'would violate PodSecurity "baseline:v1.20": {HOST_TEXT}'],
        {
            "enforce-policy": "privileged:latest",
            "audit-violations": f'would violate PodSecurity "baseline:latest": {HOST_TEXT}',
        },
    )
    assert judge(rig, pod("p")) == ("", [], {"enforce-policy": "privileged:latest"})


def test_everything_over_http(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Rig([NamespaceLifecycle(), PodSecurity()]) as rig:
            await label(rig, enforce="baseline")
            answer = await rig.call("POST", PODS, pod("", generateName="p-", spec=HOST))
            assert answer.status == 403 and answer.body["reason"] == "Forbidden"
            name = answer.body["details"]["name"]
            assert name.startswith("p-") and answer.body["message"] == (
                f'pods "{name}" is forbidden: violates PodSecurity "baseline:latest": {HOST_TEXT}'
            )
            volume = {"name": "v", "gitRepo": {"repository": "r"}}
            answer = await rig.call("POST", PODS, pod("w", spec={**HOST, "volumes": [volume]}))
            assert answer.status == 403  # and the warnings of the pod's own rules are told all the same
            assert answer.warnings == [
                "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"
            ]
            await rig.ok("POST", PODS, pod("p"))
            made = pod("", labels={"a": "b"}, spec=HOST)
            template = {"metadata": made["metadata"], "spec": made["spec"]}
            spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
            body = {"metadata": {"name": "d"}, "spec": spec}
            answer = await rig.call("POST", "/apis/apps/v1/namespaces/default/deployments", body)
            assert answer.status == 201
            assert answer.warnings == [f'would violate PodSecurity "baseline:latest": {HOST_TEXT}']

    runner.run(main())


@pytest.mark.parametrize("resource", TEMPLATES)
async def test_templates_are_warned_of(rig: Rig, resource: Any) -> None:
    await label(rig, enforce="baseline", audit="baseline")
    plural, _, group = resource.partition(".")
    found = rig.catalog.by_group_resource(resource)
    obj = pod("", spec=HOST)
    for member in reversed(TEMPLATES[resource]):
        obj = {member: obj}
    asked = (group, found.version, plural)
    refused, warnings, notes = judge(rig, {**obj, "metadata": {"name": "o"}}, resource=asked)
    text = f'would violate PodSecurity "baseline:latest": {HOST_TEXT}'
    assert (refused, warnings, notes) == ("", [text], {"audit-violations": text})
    assert judge(rig, {"metadata": {"name": "o"}, "spec": {}}, resource=asked) == ("", [], {})


async def test_templates_are_not_looked_at_where_nobody_is_told(rig: Rig) -> None:
    await label(rig, enforce="baseline", warn="privileged")
    obj = {"metadata": {"name": "o"}, "spec": {"template": pod("", spec=HOST)}}
    assert judge(rig, obj, resource=("apps", "v1", "replicasets")) == ("", [], {})


@pytest.mark.parametrize(
    ("configuration", "user", "why"),
    [
        (Configuration(usernames=frozenset(("jane",))), "jane", "user"),
        (Configuration(namespaces=frozenset(("default",))), "", "namespace"),
        (Configuration(runtime_classes=frozenset(("r",))), "", "runtimeClass"),
    ],
)
async def test_who_is_exempt(rig: Rig, configuration: Any, user: str, why: str) -> None:
    await label(rig, enforce="baseline")
    metrics = AdmissionMetrics()
    plugin = PodSecurity(configuration, metrics)
    exempt = pod("p", spec={**HOST, "runtimeClassName": "r"})
    assert judge(rig, exempt, plugin=plugin, user=user) == ("", [], {"exempt": why})
    assert metrics.pod_security_exemptions.values == {("create", "pod", ""): 1}
    if why != "namespace":
        other = pod("p", spec={**HOST, "runtimeClassName": "other"})
        assert judge(rig, other, plugin=plugin, user="other")[0]


async def test_defaults_of_the_cluster(rig: Rig) -> None:
    plugin = PodSecurity(
        Configuration(PodSecurityLevels(enforce=LevelVersion("baseline", 40))), metrics := AdmissionMetrics()
    )
    assert judge(rig, plugin=plugin)[0].startswith(
        'pods "p" is forbidden: violates PodSecurity "baseline:v1.40"'
    )
    assert (
        "deny",
        "enforce",
        "baseline",
        "future",
        "create",
        "pod",
        "",
    ) in metrics.pod_security_evaluations.values


async def test_labels_that_cannot_be_read_stand_for_the_strictest(rig: Rig) -> None:
    plugin = PodSecurity(metrics=(metrics := AdmissionMetrics()))
    await label(rig, enforce="nonsense")  # no plugin of the rig refuses it
    refused, warnings, notes = judge(rig, plugin=plugin)
    assert refused.startswith('pods "p" is forbidden: violates PodSecurity "restricted:latest": ')
    assert warnings == []
    assert (
        notes["error"]
        == f'Failed to parse policy: metadata.labels[{PREFIX}enforce]: Invalid value: "nonsense": must be one'
        " of privileged, baseline, restricted"
    )
    assert metrics.pod_security_errors.values == {("false", "create", "pod", ""): 1}


async def test_a_namespace_that_is_missing(rig: Rig) -> None:
    plugin = PodSecurity(metrics=(metrics := AdmissionMetrics()))
    refused, _, notes = judge(rig, plugin=plugin, namespace="none")
    assert refused == 'Internal error occurred: failed to lookup namespace "none"'
    assert notes == {"error": f'{refused}: namespaces "none" not found'}
    obj = {"metadata": {"name": "o"}, "spec": {"template": pod("")}}
    resource = ("apps", "v1", "replicasets")
    assert judge(rig, obj, plugin=plugin, resource=resource, namespace="none") == (
        "",
        [],
        {"error": 'failed to lookup namespace "none": namespaces "none" not found'},
    )
    assert sum(metrics.pod_security_errors.values.values()) == 2


IMAGES = {"containers": [{"name": "c", "image": "b"}]}
DEBUGGER = {"ephemeralContainers": [{"name": "e", "image": "e"}]}


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        ({}, False),
        ({"tolerations": [{"operator": "Exists"}]}, False),
        (IMAGES, True),
        ({"containers": []}, True),
        ({"initContainers": [{"name": "i", "image": "i"}]}, True),
        (DEBUGGER, True),
    ],
)
async def test_updates_of_a_pod(rig: Rig, changed: Any, judged: bool) -> None:
    await label(rig, enforce="baseline")
    refused, _, _ = judge(rig, pod("p", spec={**HOST, **changed}), pod("p", spec=HOST))
    assert bool(refused) is judged


async def test_a_debugger_that_is_there_already(rig: Rig) -> None:
    await label(rig, enforce="baseline")
    there = pod("p", spec={**HOST, **DEBUGGER})
    assert judge(rig, there, there, subresource="ephemeralcontainers") == ("", [], {})
    other = pod("p", spec={**HOST, "ephemeralContainers": [{"name": "e", "image": "f"}]})
    assert judge(rig, other, there, subresource="ephemeralcontainers")[0]


@pytest.mark.parametrize(
    ("subresource", "wanted"),
    [("", True), ("ephemeralcontainers", True), ("resize", True), ("status", False), ("binding", False)],
)
async def test_what_it_looks_at(rig: Rig, subresource: str, wanted: bool) -> None:
    assert is_asked(PodSecurity(), rig.attributes({}, {}, subresource=subresource)) is wanted
    assert not is_asked(PodSecurity(), rig.attributes(None, {}, operation="DELETE"))
    assert not is_asked(PodSecurity(), rig.attributes({}, resource=("", "v1", "services")))
    assert not is_asked(
        PodSecurity(), rig.attributes({}, resource=("apps", "v1", "deployments"), subresource="scale")
    )


def namespace(name: str = "default", **members: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels(**members)}}


async def of_namespace(rig: Rig, new: Any, old: Any = None, plugin: Any = None) -> Any:
    """The warnings that a write of a namespace brings."""
    asked = rig.attributes(new, old, resource=NAMESPACES)
    waiting = (plugin or PodSecurity()).validate(asked)
    if waiting is not None:
        await waiting
    return asked.warnings


async def test_labels_are_checked(rig: Rig) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await of_namespace(rig, namespace(enforce="x", warn_version="y"))
    at = f"metadata.labels[{PREFIX}"
    assert (
        caught.value.message
        == f'Namespace "default" is invalid: [{at}enforce]: Invalid value: "x": must be one of privileged,'
        f' baseline, restricted, {at}warn-version]: Invalid value: "y": must be "latest" or "v1.x"]'
    )
    with pytest.raises(errors.Invalid):
        await of_namespace(rig, namespace(enforce="x"), namespace(enforce="y"))
    assert await of_namespace(rig, namespace(enforce="x"), namespace(enforce="x")) == []


async def with_pods(rig: Rig, *pods: Any) -> None:
    for one in pods:
        await rig.ok("POST", PODS, one)


OWNER = {"apiVersion": "v1", "kind": "ReplicationController", "name": "r", "uid": "u", "controller": True}
EXISTING = 'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"'


async def test_existing_pods_are_told(rig: Rig) -> None:
    await with_pods(
        rig,
        pod("a"),
        *(pod(name, spec=HOST) for name in "dcb"),
        pod("e", spec={"hostPID": True, "hostNetwork": True}),
        *(pod(name, spec={"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}) for name in "gf"),
    )
    assert await of_namespace(rig, namespace(enforce="baseline"), namespace()) == [
        EXISTING,
        "b (and 3 other pods): host namespaces",
        "f (and 1 other pod): hostPath volumes",
    ]


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        ({"enforce": "baseline"}, {}, True),
        ({"enforce": "baseline"}, {"enforce": "baseline"}, False),
        ({"enforce": "privileged"}, {"enforce": "baseline"}, False),
        ({"enforce": "baseline"}, {"enforce": "restricted"}, False),
        ({"enforce": "baseline", "enforce_version": "v1.3"}, {"enforce": "restricted"}, True),
        ({"warn": "baseline"}, {}, False),
    ],
)
async def test_when_existing_pods_are_judged(
    rig: Rig, new: dict[str, Any], old: dict[str, Any], told: bool
) -> None:
    await with_pods(rig, pod("p", spec=HOST))
    assert bool(await of_namespace(rig, namespace(**new), namespace(**old))) is told


async def test_a_new_namespace_has_no_pods(rig: Rig) -> None:
    await with_pods(rig, pod("p", spec=HOST))
    assert await of_namespace(rig, namespace(enforce="baseline")) == []


async def test_pods_of_one_controller_come_last_but_one(rig: Rig) -> None:
    """When the time is up, each controller had one of its pods judged."""
    times = iter([0.0, 0.0, 0.1, 1.5])
    plugin = PodSecurity(clock=lambda: next(times))
    owned = [pod(name, ownerReferences=[OWNER]) for name in ("a", "b", "c")]
    await with_pods(rig, *owned, pod("d"), pod("e", spec=HOST), pod("f"))
    assert await of_namespace(rig, namespace(enforce="baseline"), namespace(), plugin) == [
        "new PodSecurity enforce level only checked against the first 3 of 6 existing pods",
        EXISTING,
        "e: host namespaces",
    ]


async def test_exempt_classes_are_left_out(rig: Rig) -> None:
    plugin = PodSecurity(Configuration(runtime_classes=frozenset(("r",))))
    await with_pods(rig, pod("p", spec={**HOST, "runtimeClassName": "r"}))
    assert await of_namespace(rig, namespace(enforce="baseline"), namespace(), plugin) == []


async def test_labels_of_an_exempt_namespace(rig: Rig) -> None:
    plugin = PodSecurity(Configuration(namespaces=frozenset(("default",))))
    told = [
        'namespace "default" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be'
        " ignored"
    ]
    await with_pods(rig, pod("p", spec=HOST))
    assert await of_namespace(rig, namespace(enforce="baseline"), namespace(), plugin) == told
    assert await of_namespace(rig, namespace(enforce="baseline"), plugin=plugin) == told
    assert await of_namespace(rig, namespace(enforce="privileged"), plugin=plugin) == []
    both = namespace(enforce="baseline", audit="restricted", audit_version="v1.3", warn="privileged")
    assert (
        "(enforce=baseline:latest, audit=restricted:v1.3)"
        in (await of_namespace(rig, both, plugin=plugin))[0]
    )
