"""Services: families, addresses and node ports that are allocated,
and fields that a change of type clears."""

from types import SimpleNamespace

import pytest

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.errors import StatusError
from pilothouse.registry.allocators import ClusterIPAllocator
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.groups.core.services import canonicalize, prepare_create, prepare_update
from pilothouse.registry.node_ports import NodePortAllocator
from pilothouse.registry.strategy import WriteContext
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher

SERVICES = next(r for r in core.RESOURCES if r.plural == "services")


@pytest.fixture
def ctx() -> WriteContext:
    storage, nothing = MemoryStorage(), SimpleNamespace(list=lambda resource: [])
    ports = NodePortAllocator(storage, Cacher(storage), nothing)
    pools = SimpleNamespace(
        addresses=ClusterIPAllocator(["10.0.0.0/24", "fd00::/112"]), node_ports=ports, options=None
    )
    return WriteContext(User("admin"), "create", SERVICES, namespace="default", name="s", services=pools)


def service(kind: str, **spec: object) -> Object:
    ports = [{"name": "p", "port": 80, "protocol": "TCP", "targetPort": 80}]
    whole = {
        "type": kind,
        "ports": ports,
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        **spec,
    }
    if kind in ("NodePort", "LoadBalancer"):
        whole.setdefault("externalTrafficPolicy", "Cluster")
    return {"metadata": {"name": "s", "namespace": "default"}, "spec": whole, "status": {"loadBalancer": {}}}


def test_cluster_ip(ctx: WriteContext) -> None:
    made = service("ClusterIP")
    prepare_create(ctx, made)
    spec = made["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert "nodePort" not in spec["ports"][0]


def test_dual_stack(ctx: WriteContext) -> None:
    made = service("ClusterIP", ipFamilyPolicy="PreferDualStack")
    prepare_create(ctx, made)
    assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert [":" in ip for ip in made["spec"]["clusterIPs"]] == [False, True]


def test_headless_and_external_name_take_nothing(ctx: WriteContext) -> None:
    headless = service("ClusterIP", clusterIP="None", clusterIPs=["None"])
    prepare_create(ctx, headless)
    assert headless["spec"]["clusterIPs"] == ["None"]
    named = service("ExternalName", externalName="example.com")
    prepare_create(ctx, named)
    assert "clusterIP" not in named["spec"]
    assert ctx.undo == []


def test_an_external_name_has_no_internal_traffic(ctx: WriteContext) -> None:
    for kind, kept in (("ExternalName", False), ("ClusterIP", True)):
        made = service(kind, internalTrafficPolicy="Local")
        canonicalize(made)
        assert ("internalTrafficPolicy" in made["spec"]) is kept


def test_taken_address_is_refused(ctx: WriteContext) -> None:
    prepare_create(ctx, service("ClusterIP", clusterIP="10.0.0.5", clusterIPs=["10.0.0.5"]))
    with pytest.raises(StatusError) as caught:
        prepare_create(ctx, service("ClusterIP", clusterIP="10.0.0.5", clusterIPs=["10.0.0.5"]))
    assert "failed to allocate IP 10.0.0.5: provided IP is already allocated" in str(caught.value)


def test_undo_gives_everything_back(ctx: WriteContext) -> None:
    wanted = {"clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"]}
    prepare_create(ctx, service("NodePort", **wanted))
    for call in ctx.undo:
        call()
    prepare_create(ctx, service("NodePort", **wanted))


def test_what_was_left_to_the_hooks_is_marked_as_their_choice(ctx: WriteContext) -> None:
    made = service("NodePort", clusterIP="10.0.0.5", clusterIPs=["10.0.0.5"])
    made["spec"]["ports"].append({"name": "q", "port": 81, "protocol": "TCP", "nodePort": 30007})
    prepare_create(ctx, made)
    assert ctx.assigned == {made["spec"]["ports"][0]["nodePort"]}
    plain = service("ClusterIP")
    prepare_create(ctx, plain)
    assert plain["spec"]["clusterIP"] in ctx.assigned


def test_node_port_is_kept_by_an_update_and_dropped_with_the_type(ctx: WriteContext) -> None:
    old = service("NodePort")
    prepare_create(ctx, old)
    port, ip = old["spec"]["ports"][0]["nodePort"], old["spec"]["clusterIP"]
    same = service("NodePort")
    prepare_update(ctx, same, old)
    assert (same["spec"]["ports"][0]["nodePort"], same["spec"]["clusterIP"]) == (port, ip)
    plain = service("ClusterIP", ports=[dict(same["spec"]["ports"][0])])
    prepare_update(ctx, plain, same)
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert plain["spec"]["clusterIP"] == ip


def test_external_name_lets_the_address_go(ctx: WriteContext) -> None:
    old = service("ClusterIP")
    prepare_create(ctx, old)
    new = service("ExternalName", externalName="example.com")
    prepare_update(ctx, new, old)
    assert "clusterIP" not in new["spec"]
    assert "clusterIPs" not in new["spec"]
