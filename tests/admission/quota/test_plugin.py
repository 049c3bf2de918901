"""ResourceQuota: what is charged, what is refused and with which words,
and that nothing gets past a limit."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from harness import Rig, config_map, is_asked, pod

from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.quota.judge import Limited, limited_from
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.controllers.quota import ResourceQuotas
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage

NS = "/api/v1/namespaces/default"
QUOTAS = f"{NS}/resourcequotas"
MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


class Quotas(Rig):
    """A server with the plugin."""

    def __init__(
        self, storage: MemoryStorage | None = None, namespaces: Iterable[str] = ("default", "kube-system")
    ) -> None:
        self.plugin = ResourceQuota()
        super().__init__((NamespaceLifecycle(), self.plugin), storage=storage, namespaces=namespaces)


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Any]:
    """A server with the plugin, and no controller."""
    rig = Quotas()

    async def start() -> None:
        await rig.start()
        rig.plugin.ledger.follow(rig.client("kube-apiserver"))

    async def stop() -> None:
        await rig.plugin.ledger.close()
        await rig.stop()

    runner.run(start())
    yield rig
    runner.run(stop())


async def quota(rig: Any, hard: Any, name: str = "q", used: Any = None, **spec: Any) -> None:
    """A quota whose status is as a controller would have written it."""
    await rig.ok("POST", QUOTAS, {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    status = {"hard": hard, "used": {**dict.fromkeys(hard, "0"), **(used or {})}}
    await rig.ok("PATCH", f"{QUOTAS}/{name}/status", {"status": status}, headers=MERGE)


async def used(rig: Any, name: str = "q") -> Any:
    return (await rig.ok("GET", f"{QUOTAS}/{name}"))["status"]["used"]


def with_resources(name: str, requests: Any = None, limits: Any = None, **spec: Any) -> Any:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return pod(name, spec={"containers": [{"name": "c", "image": "i", "resources": resources}], **spec})


def create(rig: Any, obj: Any, plural: str = "pods", group: str = "/api/v1") -> Any:
    return rig.ok("POST", f"{group}/namespaces/default/{plural}", obj)


def refused(rig: Any, obj: Any, plural: str = "pods", group: str = "/api/v1") -> Any:
    return rig.fail(403, "POST", f"{group}/namespaces/default/{plural}", obj)


async def test_pods_are_counted_until_there_is_no_place(rig: Any) -> None:
    await quota(rig, {"pods": "2"})
    await create(rig, pod("a"))
    await rig.ok("POST", f"{NS}/pods?dryRun=All", pod("dry"))
    assert await used(rig) == {"pods": "1"}
    await create(rig, pod("b"))
    why = 'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'
    assert await refused(rig, pod("c")) == why
    assert await refused(rig, pod("a")) == why.replace('"c"', '"a"')
    assert await rig.fail(403, "POST", f"{NS}/pods?dryRun=All", pod("c")) == why
    assert await used(rig) == {"pods": "2"}


async def test_what_is_not_written_is_not_charged(rig: Any) -> None:
    await quota(rig, {"pods": "5"})
    await create(rig, pod("a"))
    await rig.fail(409, "POST", f"{NS}/pods", pod("a"))
    await rig.fail(422, "POST", f"{NS}/pods", pod("BAD!"))
    assert await used(rig) == {"pods": "1"}


async def test_compute_of_a_pod(rig: Any) -> None:
    names = ("requests.cpu", "limits.cpu", "cpu", "requests.memory", "requests.example.com/gpu")
    more = ("hugepages-2Mi", "requests.hugepages-2Mi", "limits.ephemeral-storage")
    await quota(rig, dict.fromkeys((*names, *more), "4Gi"))
    amounts = {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "2", "hugepages-2Mi": "4Mi"}
    await create(rig, with_resources("a", amounts, {**amounts, "ephemeral-storage": "1Gi"}))
    assert await used(rig) == {
        "requests.cpu": "500m",
        "limits.cpu": "500m",
        "cpu": "500m",
        "requests.memory": "1Gi",
        "requests.example.com/gpu": "2",
        "hugepages-2Mi": "4Mi",
        "requests.hugepages-2Mi": "4Mi",
        "limits.ephemeral-storage": "1Gi",
    }


async def test_containers_must_say_what_a_quota_counts(rig: Any) -> None:
    await quota(rig, {"limits.cpu": "2", "requests.memory": "1Gi", "requests.ephemeral-storage": "1Gi"})
    two = pod("a", spec={"containers": [{"name": n, "image": "i"} for n in ("x", "c")]})
    why = 'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c,x; requests.memory for: c,x'
    assert await refused(rig, two) == why
    whole = {"requests": {"memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    await create(rig, pod("b", spec={"resources": whole}))
    assert (await used(rig))["limits.cpu"] == "1"


async def test_a_message_has_only_what_is_exceeded(rig: Any) -> None:
    await quota(rig, {"requests.cpu": "2", "limits.cpu": "2", "pods": "9"}, used={"requests.cpu": "1"})
    assert await refused(rig, with_resources("b", {"cpu": "1500m"}, {"cpu": "2"})) == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=1500m, '
        "used: requests.cpu=1, limited: requests.cpu=2"
    )


async def test_a_quota_that_was_never_counted(rig: Any) -> None:
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}})
    await create(rig, pod("a"))  # status.hard is what counts
    await rig.ok("PATCH", f"{QUOTAS}/q/status", {"status": {"hard": {"pods": "5"}}}, headers=MERGE)
    assert await refused(rig, pod("b")) == (
        'pods "b" is forbidden: status unknown for quota: q, resources: pods'
    )


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ({"scopes": ["BestEffort"]}, pod("a"), with_resources("b", {"cpu": "1"})),
        ({"scopes": ["NotBestEffort"]}, with_resources("a", {"cpu": "1"}), pod("b")),
        ({"scopes": ["Terminating"]}, pod("a", spec={"activeDeadlineSeconds": 5}), pod("b")),
        ({"scopes": ["NotTerminating"]}, pod("a"), pod("b", spec={"activeDeadlineSeconds": 5})),
        (
            {"scopes": ["CrossNamespacePodAffinity"]},
            pod(
                "a",
                spec={
                    "affinity": {
                        "podAntiAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [
                                {
                                    "weight": 1,
                                    "podAffinityTerm": {"topologyKey": "x", "namespaceSelector": {}},
                                }
                            ]
                        }
                    }
                },
            ),
            pod("b"),
        ),
    ],
)
async def test_scopes(rig: Any, spec: dict[str, Any], inside: Any, outside: Any) -> None:
    await quota(rig, {"pods": "0"}, **spec)
    assert "exceeded quota: q" in await refused(rig, inside)
    await create(rig, outside)


@pytest.mark.parametrize(
    ("operator", "values", "counted"),
    [
        ("In", ["system-node-critical"], {"system-node-critical"}),
        ("NotIn", ["system-node-critical"], {"", "system-cluster-critical"}),
        ("Exists", [], {"system-node-critical", "system-cluster-critical"}),
        ("DoesNotExist", [], {""}),
    ],
)
async def test_classes_of_priority(rig: Any, operator: str, values: list[str], counted: set[str]) -> None:
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    await quota(rig, {"pods": "9"}, scopeSelector={"matchExpressions": [expression]})
    for n, name in enumerate(("", "system-node-critical", "system-cluster-critical")):
        before = int((await used(rig))["pods"])
        await create(rig, pod(f"p{n}", spec={"priorityClassName": name} if name else {}))
        assert int((await used(rig))["pods"]) - before == (name in counted)


async def test_objects_of_any_resource(rig: Any) -> None:
    hard = {"count/secrets": "1", "secrets": "5", "configmaps": "1", "count/leases.coordination.k8s.io": "0"}
    await quota(rig, hard)
    await create(rig, {"metadata": {"generateName": "s-"}}, "secrets")
    assert (await used(rig))["secrets"] == "1"
    assert (await refused(rig, {"metadata": {"name": "t"}}, "secrets")).endswith(
        "exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1"
    )
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    assert 'leases.coordination.k8s.io "l" is forbidden: exceeded quota: q' in await refused(
        rig, lease, "leases", "/apis/coordination.k8s.io/v1"
    )
    await create(rig, config_map("c"), "configmaps")
    apply = {"Content-Type": "application/apply-patch+yaml"}
    new = config_map("d")
    target = f"{NS}/configmaps/d?fieldManager=m"
    assert "exceeded quota: q" in await rig.fail(403, "PATCH", target, new, headers=apply)


async def test_services_are_charged_for_what_they_become(rig: Any) -> None:
    await quota(rig, {"services": "2", "services.loadbalancers": "1", "services.nodeports": "2"})
    ports = {"ports": [{"port": 80}]}
    for name in ("a", "b"):
        await create(rig, {"metadata": {"name": name}, "spec": ports}, "services")
    await rig.ok("PATCH", f"{NS}/services/a", {"spec": {"type": "LoadBalancer"}}, headers=MERGE)
    assert await used(rig) == {"services": "2", "services.loadbalancers": "1", "services.nodeports": "1"}
    why = await rig.fail(403, "PATCH", f"{NS}/services/b", {"spec": {"type": "LoadBalancer"}}, headers=MERGE)
    assert why.endswith(
        "requested: services.loadbalancers=1, used: services.loadbalancers=1, limited:"
        " services.loadbalancers=1"
    )
    await rig.ok("PATCH", f"{NS}/services/a", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert (await used(rig))["services.nodeports"] == "1"


async def test_claims_by_class(rig: Any) -> None:
    gold = "gold.storageclass.storage.k8s.io/requests.storage"
    count = "gold.storageclass.storage.k8s.io/persistentvolumeclaims"
    await quota(rig, {"requests.storage": "10Gi", gold: "4Gi", count: "3", "persistentvolumeclaims": "5"})

    def claim(name: str, size: Any, kind: str = "") -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"metadata": {"name": name}, "spec": {**spec, "storageClassName": kind}}

    await create(rig, claim("a", "3Gi", "gold"), "persistentvolumeclaims")
    await create(rig, claim("b", "5Gi"), "persistentvolumeclaims")
    assert await used(rig) == {
        "requests.storage": "8Gi",
        gold: "3Gi",
        count: "1",
        "persistentvolumeclaims": "2",
    }
    why = await refused(rig, claim("c", "2Gi", "gold"), "persistentvolumeclaims")
    assert why.endswith(f"requested: {gold}=2Gi, used: {gold}=3Gi, limited: {gold}=4Gi")


async def test_claims_by_their_attributes_class(rig: Any) -> None:
    expression = {"scopeName": "VolumeAttributesClass", "operator": "In", "values": ["fast"]}
    await quota(rig, {"persistentvolumeclaims": "0"}, scopeSelector={"matchExpressions": [expression]})
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim: Any = {"metadata": {"name": "a"}, "spec": {**spec, "volumeAttributesClassName": "fast"}}
    assert "exceeded quota: q" in await refused(rig, claim, "persistentvolumeclaims")
    claim["spec"] = {**spec, "volumeAttributesClassName": "slow"}
    await create(rig, claim, "persistentvolumeclaims")


async def test_devices_by_class(rig: Any) -> None:
    devices = "gpu.deviceclass.resource.k8s.io/devices"
    implicit = "requests.deviceclass.resource.kubernetes.io/gpu"
    await quota(rig, {devices: "2", implicit: "40", "count/resourceclaims.resource.k8s.io": "5"})

    def claim(name: str, **request: Any) -> dict[str, Any]:
        requests = [{"name": "r", "exactly": {"deviceClassName": "gpu", **request}}]
        return {"metadata": {"name": name}, "spec": {"devices": {"requests": requests}}}

    group = "/apis/resource.k8s.io/v1"
    await create(rig, claim("a", count=1), "resourceclaims", group)
    assert await used(rig) == {devices: "1", implicit: "1", "count/resourceclaims.resource.k8s.io": "1"}
    why = await refused(rig, claim("b", allocationMode="All"), "resourceclaims", group)
    assert why.endswith(f"requested: {devices}=32, used: {devices}=1, limited: {devices}=2")


async def test_a_resize_is_charged_for_the_difference(rig: Any) -> None:
    await create(rig, with_resources("a", {"cpu": "1"}, {"cpu": "1"}))
    await quota(rig, {"requests.cpu": "2"}, used={"requests.cpu": "1"})

    def resize(cpu: Any) -> tuple[str, str, Any]:
        amounts = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
        body = {"spec": {"containers": [{"name": "c", "resources": amounts}]}}
        return "PATCH", f"{NS}/pods/a/resize", body

    why = await rig.fail(403, *resize("3"), headers=STRATEGIC)
    assert why == (
        'pods "a" is forbidden: exceeded quota: q, requested: requests.cpu=2, '
        "used: requests.cpu=1, limited: requests.cpu=2"
    )
    await rig.ok(*resize("1500m"), headers=STRATEGIC)
    assert await used(rig) == {"requests.cpu": "1500m"}


async def test_all_quotas_must_have_place(rig: Any) -> None:
    await quota(rig, {"pods": "5"}, "a")
    await quota(rig, {"pods": "1"}, "b")
    await create(rig, pod("x"))
    assert "exceeded quota: b" in await refused(rig, pod("y"))
    assert await used(rig, "a") == await used(rig, "b") == {"pods": "1"}
    await rig.ok("DELETE", f"{QUOTAS}/b")
    await create(rig, pod("y"))


async def test_what_the_configuration_limits_needs_a_quota(rig: Quotas) -> None:
    configured = {"limitedResources": [{"resource": "pods", "matchContains": ["requests.cpu"]}]}
    rig.plugin.limited = limited_from(configured)
    assert rig.plugin.limited == (Limited("pods", ("requests.cpu",)),)
    needs = with_resources("a", {"cpu": "1"})
    assert await refused(rig, needs) == 'pods "a" is forbidden: insufficient quota to consume: requests.cpu'
    await create(rig, pod("b"))
    await quota(rig, {"requests.cpu": "1"})
    await create(rig, needs)
    critical = {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
    rig.plugin.limited = (Limited("pods", scopes=(critical,)),)
    important = with_resources("c", {"cpu": "0"}, priorityClassName="system-node-critical")
    why = "insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]"
    assert await rig.fail(500, "POST", f"{NS}/pods", important) == why


async def test_concurrent_creators_never_get_past_the_limit(rig: Any) -> None:
    await quota(rig, {"pods": "100", "count/pods": "1k"})
    before = rig.storage.revision
    answers = await asyncio.gather(*(creator(rig, n, 4) for n in range(64)))
    good = sum(map(sum, answers))
    assert good == 100 == len((await rig.ok("GET", f"{NS}/pods"))["items"])
    assert await used(rig) == {"pods": "100", "count/pods": "100"}
    assert rig.storage.revision - before - good < 30  # writes of the quota


async def creator(rig: Any, number: Any, pods: Any) -> list[bool]:
    return [(await rig.call("POST", f"{NS}/pods", pod(f"p-{number}-{n}"))).status == 201 for n in range(pods)]


async def test_two_servers_over_one_store(rig: Any) -> None:
    """Each server has a cache of its own of the objects that both write."""
    other = Quotas(rig.storage, namespaces=())
    async with other:
        plugin = other.plugin
        plugin.ledger.follow(other.client("kube-apiserver"))
        await quota(rig, {"pods": "50"})
        answers = await asyncio.gather(
            *(creator(one, f"{i}-{n}", 4) for i, one in enumerate((rig, other)) for n in range(16))
        )
        assert sum(map(sum, answers)) == 50
        assert await used(rig) == await used(other) == {"pods": "50"}
        await plugin.ledger.close()


async def test_a_creator_that_leaves_is_not_charged(rig: Quotas) -> None:
    await quota(rig, {"pods": "5"})
    task = asyncio.ensure_future(rig.respond("POST", f"{NS}/pods", pod("a")))
    while not rig.plugin.ledger._todo:
        await asyncio.sleep(0)
    task.cancel()
    await rig.settle()
    there = (await rig.call("GET", f"{NS}/pods/a")).status == 200
    assert await used(rig) == {"pods": str(int(there))}


async def test_a_namespace_without_quota_is_not_asked(rig: Quotas) -> None:
    assert not is_asked(rig.plugin, rig.attributes(pod("a")))
    await quota(rig, {"pods": "5"})
    assert is_asked(rig.plugin, rig.attributes(pod("a")))
    assert not is_asked(rig.plugin, rig.attributes(pod("a"), namespace="kube-system"))
    assert not is_asked(rig.plugin, rig.attributes(pod("a"), pod("a"), subresource="status"))
    assert not is_asked(rig.plugin, rig.attributes({}, resource=("", "v1", "events")))
    assert not is_asked(rig.plugin, rig.attributes({}, {}, resource=("", "v1", "configmaps")))


@pytest.fixture
def counted(rig: Quotas, runner: asyncio.Runner) -> Iterator[Any]:
    """Quotas whose controller runs."""
    controller = ResourceQuotas(rig.client("kube-controller-manager"), rig.plugin.ledger, delay=0)

    async def start() -> None:
        controller.start()

    runner.run(start())
    yield controller
    runner.run(controller.close())


async def recount(rig: Quotas) -> Any:
    await rig.plugin.ledger.recount("default", "q").outcome()
    return await used(rig)


async def undo(asked: Any) -> None:
    for give_back in asked.undo:
        await give_back()


async def test_a_count_includes_what_was_charged_and_is_not_there(rig: Quotas, counted: Any) -> None:
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
    await rig.settle()
    asked = rig.attributes(pod("a"))
    await rig.plugin.validate(asked)
    assert await recount(rig) == {"pods": "1"}
    await undo(asked)
    assert await used(rig) == {"pods": "0"}


async def test_of_two_creates_of_a_name_one_gives_back(rig: Quotas, counted: Any) -> None:
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
    await rig.settle()
    loser = rig.attributes(pod("a", uid="another"))
    await rig.plugin.validate(loser)
    await create(rig, pod("a"))
    assert await recount(rig) == {"pods": "2"}
    await rig.ok("DELETE", f"{NS}/pods/a?gracePeriodSeconds=0")
    assert await recount(rig) == {"pods": "1"}  # it may yet create the pod
    await undo(loser)
    assert await recount(rig) == {"pods": "0"}


async def test_what_was_counted_without_a_charge_is_not_given_back(rig: Quotas, counted: Any) -> None:
    """One of two updates loses: its charge is not in a count that comes before it is given back."""
    await rig.ok("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"services.nodeports": "5"}}})
    spec = {"type": "NodePort", "ports": [{"port": 80, "name": "a"}]}
    old = await create(rig, {"metadata": {"name": "s"}, "spec": spec}, "services")
    await rig.settle()
    assert await used(rig) == {"services.nodeports": "1"}
    new = {**old, "spec": {**old["spec"], "ports": [{"port": n} for n in (80, 81, 82)]}}
    loser = rig.attributes(new, old, resource=("", "v1", "services"))
    await rig.plugin.validate(loser)
    assert await recount(rig) == {"services.nodeports": "3"}
    await rig.ok("PATCH", f"{NS}/services/s", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert await recount(rig) == {"services.nodeports": "1"}
    await undo(loser)
    assert await used(rig) == {"services.nodeports": "1"}


class Failing(MemoryStorage):
    """Does not take writes of one key."""

    refuses = ""

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        if self.refuses and self.refuses in key:
            raise Unavailable("no")
        return await super().update(key, value, expect, ttl, author)


async def test_a_store_that_fails_between_two_quotas(runner: asyncio.Runner) -> None:
    plugin = ResourceQuota()
    async with Rig((NamespaceLifecycle(), plugin), storage=Failing()) as rig:
        plugin.ledger.follow(rig.client("kube-apiserver"))
        await quota(rig, {"pods": "5"}, "a")
        await quota(rig, {"pods": "5"}, "b")
        rig.storage.refuses = "resourcequotas/default/b"
        assert (await rig.call("POST", f"{NS}/pods", pod("x"))).status >= 500
        rig.storage.refuses = ""
        assert await used(rig, "a") == await used(rig, "b") == {"pods": "0"}
        await create(rig, pod("x"))
        assert await used(rig, "a") == await used(rig, "b") == {"pods": "1"}
