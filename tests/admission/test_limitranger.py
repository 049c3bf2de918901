"""Default resources and limits of a namespace."""

from typing import Any

import pytest
from complexity import assert_linear
from harness import Rig, is_asked, pod

from pilothouse import errors
from pilothouse.admission.limitranger import ANNOTATION, LimitRanger, _pod_amounts

RANGES = "/api/v1/namespaces/default/limitranges"
CLAIM = ("", "v1", "persistentvolumeclaims")


async def limits(rig: Rig, kind: str = "Container", name: str = "l", **members: Any) -> None:
    item = {"type": kind, **members}
    await rig.ok("POST", RANGES, {"metadata": {"name": name}, "spec": {"limits": [item]}})


def resources(requests: Any = None, limits: Any = None) -> dict[Any, Any]:
    return {k: v for k, v in (("requests", requests), ("limits", limits)) if v}


def container(name: str = "c", requests: Any = None, limits: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i", "resources": resources(requests, limits), **more}


def faults(rig: Rig, *containers: Any, init: Any = (), **spec: Any) -> str | None:
    obj = pod("p", spec={"containers": list(containers), "initContainers": list(init), **spec})
    try:
        LimitRanger().validate(rig.attributes(obj))
    except errors.Forbidden as err:
        return err.message.removeprefix('pods "p" is forbidden: ')
    return None


async def test_defaults(rig: Rig) -> None:
    await limits(rig, default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "500m"})
    obj = pod("p", spec={"containers": [container("a"), container("b", {"cpu": "2"}, {"cpu": "3"})]})
    obj["spec"]["initContainers"] = [container("i", limits={"cpu": "1", "memory": "1Gi"})]
    LimitRanger().mutate(rig.attributes(obj))
    first, second = obj["spec"]["containers"]
    assert first["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert first["resources"]["requests"]["cpu"] == "500m"
    assert second["resources"]["requests"]["cpu"] == "2" and second["resources"]["limits"]["cpu"] == "3"
    note = obj["metadata"]["annotations"][ANNOTATION]
    assert note.startswith(
        "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a"
    )
    assert "cpu request for init container i" in note or "cpu, memory request for init container i" in note


async def test_nothing_to_say_leaves_no_note(rig: Rig) -> None:
    await limits(rig, max={"cpu": "2"}, default={"cpu": "1"}, defaultRequest={"cpu": "1"})
    obj = pod("p", spec={"containers": [container("a", {"cpu": "1"}, {"cpu": "1"})]})
    LimitRanger().mutate(rig.attributes(obj))
    assert "annotations" not in obj["metadata"]


async def test_least(rig: Rig) -> None:
    await limits(rig, min={"cpu": "100m"})
    assert faults(rig, container(requests={"cpu": "100m"})) is None
    assert faults(rig, container()) == "minimum cpu usage per Container is 100m.  No request is specified"
    assert faults(rig, container(requests={"cpu": "50m"})) == (
        "minimum cpu usage per Container is 100m, but request is 50m"
    )


async def test_most(rig: Rig) -> None:
    await limits(rig, max={"cpu": "1"})
    assert faults(rig, container(limits={"cpu": "1000m"})) is None
    assert faults(rig, container(requests={"cpu": "1"})) == (
        "maximum cpu usage per Container is 1.  No limit is specified"
    )
    assert (
        faults(rig, container(limits={"cpu": "2"})) == "maximum cpu usage per Container is 1, but limit is 2"
    )


async def test_ratio(rig: Rig) -> None:
    await limits(rig, maxLimitRequestRatio={"cpu": "2"})
    assert faults(rig, container(requests={"cpu": "1"}, limits={"cpu": "2"})) is None
    assert faults(rig, container(requests={"cpu": "1"}, limits={"cpu": "3"})) == (
        "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"
    )
    assert faults(rig, container()).startswith(
        "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"
    )


async def test_all_faults_are_told(rig: Rig) -> None:
    await limits(rig, max={"cpu": "1", "memory": "1Gi"})
    assert faults(
        rig, container(limits={"cpu": "2", "memory": "2Gi"}), container("d", limits={"cpu": "1"})
    ) == (
        "[maximum cpu usage per Container is 1, but limit is 2, "
        "maximum memory usage per Container is 1Gi, but limit is 2Gi, "
        "maximum memory usage per Container is 1Gi.  No limit is specified]"
    )


async def test_a_pod_in_all(rig: Rig) -> None:
    await limits(rig, "Pod", max={"cpu": "2"})
    one = container(limits={"cpu": "1"})
    assert faults(rig, one, one) is None
    assert faults(rig, one, one, one) == "maximum cpu usage per Pod is 2, but limit is 3"
    big = container("i", limits={"cpu": "3"})
    assert faults(rig, one, init=[big]) == "maximum cpu usage per Pod is 2, but limit is 3"
    sidecar = container("s", limits={"cpu": "1"}, restartPolicy="Always")
    assert faults(rig, one, init=[sidecar]) is None
    assert faults(rig, one, one, init=[sidecar]) == "maximum cpu usage per Pod is 2, but limit is 3"
    assert faults(rig, one, one, one, resources={"limits": {"cpu": "2"}}) is None


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ("2Gi", None),
        ("1Gi", "minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi"),
        ("4Gi", "maximum storage usage per PersistentVolumeClaim is 3Gi, but request is 4Gi"),
    ],
)
async def test_claims(rig: Rig, size: str, why: str | None) -> None:
    await limits(rig, "PersistentVolumeClaim", min={"storage": "2Gi"}, max={"storage": "3Gi"})
    claim = {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": size}}}}
    attributes = rig.attributes(claim, resource=CLAIM)
    if why is None:
        LimitRanger().validate(attributes)
    else:
        with pytest.raises(errors.Forbidden) as caught:
            LimitRanger().validate(attributes)
        assert caught.value.message == f'persistentvolumeclaims "c" is forbidden: {why}'


async def test_what_is_going_may_go(rig: Rig) -> None:
    await limits(rig, min={"cpu": "1"})
    obj = pod("p", deletionTimestamp="2026-01-01T00:00:00Z")
    LimitRanger().validate(rig.attributes(obj, obj, subresource="resize"))
    with pytest.raises(errors.Forbidden):
        LimitRanger().validate(rig.attributes(pod("p"), pod("p"), subresource="resize"))


async def test_another_namespace_has_its_own(rig: Rig) -> None:
    await limits(rig, min={"cpu": "1"})
    LimitRanger().validate(rig.attributes(pod("p"), namespace="kube-system"))
    with pytest.raises(errors.Forbidden):
        LimitRanger().validate(rig.attributes(pod("p"), namespace="default"))


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = LimitRanger()
    assert is_asked(plugin, rig.attributes({})) and not is_asked(plugin, rig.attributes({}, {}))
    assert is_asked(plugin, rig.attributes({}, {}, subresource="resize"))
    assert is_asked(plugin, rig.attributes({}, {}, resource=CLAIM))
    assert not is_asked(plugin, rig.attributes({}, resource=("", "v1", "services")))


def test_sums_over_init_containers_take_linear_time() -> None:
    def make(n: Any) -> dict[str, Any]:
        sidecar = container("s", {f"example.com/r{i}": "1" for i in range(n)}, restartPolicy="Always")
        init = [container(f"i{i}", {"example.com/r0": str(i)}) for i in range(n)]
        return {"containers": [container()], "initContainers": [sidecar, *init]}

    assert_linear(lambda spec: _pod_amounts(spec, "requests"), make, 200)
    assert _pod_amounts(make(3), "requests") == {f"example.com/r{i}": "3" if not i else "1" for i in range(3)}


async def test_a_fault_of_several_containers_is_told_once(rig: Rig) -> None:
    await limits(rig, max={"cpu": "1"})
    assert faults(rig, container("a"), container("b")) == (
        "maximum cpu usage per Container is 1.  No limit is specified"
    )
    assert faults(rig, container("a"), container("b", limits={"cpu": "2"})).startswith("[maximum cpu usage")


async def test_a_resize_gets_defaults(rig: Rig) -> None:
    await limits(rig, default={"cpu": "1"})
    obj = pod("p", spec={"containers": [container("a")]})
    LimitRanger().mutate(rig.attributes(obj, pod("p"), subresource="resize"))
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}


async def test_what_is_being_deleted_has_no_limits(rig: Rig) -> None:
    await limits(rig, max={"cpu": "1"}, default={"cpu": "1"})
    old = pod("p", deletionTimestamp="2030-01-01T00:00:00Z")
    obj = pod("p", spec={"containers": [container("a", limits={"cpu": "2"})]})
    asked = rig.attributes(obj, old, subresource="resize")
    LimitRanger().mutate(asked)
    LimitRanger().validate(asked)
    assert obj["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}
