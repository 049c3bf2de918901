"""The objects of a fresh cluster, and the reconciliation of existing ones."""

import asyncio
import copy
from typing import Any

import pytest
from logged import pairs
from virtual_time import VirtualLoop

from pilothouse import errors
from pilothouse.controllers import bootstrap
from pilothouse.controllers.bootstrap import BootstrapObject, BootstrapSettings, ensure, node_rules, objects
from pilothouse.storage.encryption.errors import EncryptionError
from pilothouse.storage.interface import Full, Unavailable


def settings(**changes: Any) -> BootstrapSettings:
    values = {
        "advertise_address": "192.0.2.2",
        "secure_port": 6443,
        "service_cidrs": ("10.0.0.0/16",),
        "hostname": "host",
        "now": "2026-01-02T03:04:05Z",
    }
    return BootstrapSettings(**{**values, **changes})


def find(planned: Any, plural: str, name: str) -> Any:
    (found,) = [p for p in planned if p.plural == plural and p.name == name]
    return found.obj


class Memory:
    """A writer over a dict."""

    def __init__(self) -> None:
        self.objects: dict[Any, Any] = {}
        self.written: list[Any] = []

    def key(self, p: Any) -> tuple[Any, Any, Any, Any]:
        return (p.group, p.plural, p.namespace, p.name)

    def get(self, planned: Any) -> Any:
        return copy.deepcopy(self.objects.get(self.key(planned)))

    async def create_missing(self, planned: Any) -> None:
        for p in planned:
            self.objects.setdefault(self.key(p), copy.deepcopy(p.obj))

    async def change(self, planned: Any, edit: Any) -> None:
        edit(self.objects[self.key(planned)])
        self.written.append(planned.name)

    async def delete(self, planned: Any) -> None:
        del self.objects[self.key(planned)]


def test_the_objects_are_there_once_and_whole() -> None:
    planned = objects(settings())
    keys = {(p.group, p.plural, p.namespace, p.name) for p in planned}
    assert len(keys) == len(planned)
    counts = {plural: sum(p.plural == plural for p in planned) for plural in ("clusterroles", "namespaces")}
    assert counts == {"clusterroles": 69, "namespaces": 4}
    for p in planned:
        assert p.obj["apiVersion"] == (f"{p.group}/{p.version}" if p.group else p.version)
        assert p.obj["kind"] and "uid" not in p.obj["metadata"]


@pytest.mark.parametrize(
    ("cidr", "address", "ip", "family"),
    [("10.0.0.0/16", "192.0.2.2", "10.0.0.1", "IPv4"), ("fd00::/108", "2001:db8::5", "fd00::1", "IPv6")],
)
def test_the_kubernetes_service_leads_to_the_server(cidr: str, address: str, ip: str, family: str) -> None:
    planned = objects(settings(service_cidrs=(cidr,), advertise_address=address))
    spec = find(planned, "services", "kubernetes")["spec"]
    assert (spec["clusterIP"], spec["ipFamilies"], spec["ports"][0]["targetPort"]) == (ip, [family], 6443)
    assert (
        find(planned, "ipaddresses", ip)["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == family
    )
    assert find(planned, "servicecidrs", "kubernetes")["spec"]["cidrs"] == [cidr]
    slice_ = find(planned, "endpointslices", "kubernetes")
    assert slice_["addressType"] == family and slice_["endpoints"][0]["addresses"] == [address]
    assert find(planned, "endpoints", "kubernetes")["subsets"][0]["addresses"] == [{"ip": address}]


def test_the_authorities_are_published() -> None:
    name = "extension-apiserver-authentication"
    assert "data" not in find(objects(settings()), "configmaps", name)
    planned = objects(settings(client_ca="PEM", proxy_ca="P", proxy_names=("a",), group_headers=("G",)))
    data = find(planned, "configmaps", name)["data"]
    assert data["client-ca-file"] == "PEM" and data["requestheader-allowed-names"] == '["a"]'
    assert data["requestheader-group-headers"] == '["G"]' and data["requestheader-uid-headers"] == "[]"


def test_the_server_may_do_everything_with_kubelets() -> None:
    name = "kubeadm:cluster-admins"
    assert name not in {p.name for p in objects(settings())}
    binding = find(objects(settings(kubelet_group=name)), "clusterrolebindings", name)
    assert binding["roleRef"]["name"] == "cluster-admin" and binding["subjects"][0]["name"] == name


def test_authorities_of_other_servers_stay() -> None:
    writer = Memory()
    asyncio.run(ensure(writer, objects(settings(client_ca="ONE"))))
    planned = objects(settings(client_ca="TWO", proxy_ca="P"))
    asyncio.run(ensure(writer, planned))
    (one,) = [p for p in planned if p.name == "extension-apiserver-authentication"]
    data = writer.get(one)["data"]
    assert data["client-ca-file"] == "ONE" and data["requestheader-client-ca-file"] == "P"


def test_the_identity_is_one_of_the_host() -> None:
    (one,), (two,) = (
        [p.obj for p in objects(settings()) if p.plural == "leases"],
        [p.obj for p in objects(settings(advertise_address="fd00::1")) if p.plural == "leases"],
    )
    assert one["metadata"]["name"] == two["metadata"]["name"]
    assert one["spec"]["holderIdentity"] != two["spec"]["holderIdentity"]
    peer = "kubernetes.io/peer-advertise-address"
    assert two["metadata"]["annotations"][peer] == "[fd00::1]:6443"


def test_nodes_may_read_services() -> None:
    assert any("services" in rule["resources"] for rule in node_rules())


def test_a_fresh_store_is_filled_and_then_left_alone() -> None:
    writer, planned = Memory(), objects(settings())
    asyncio.run(ensure(writer, planned))
    assert len(writer.objects) == len(planned)
    before = copy.deepcopy(writer.objects)
    asyncio.run(ensure(writer, [p for p in planned if p.plural != "leases"]))
    assert writer.objects == before and writer.written == []


def test_what_moved_is_brought_up_to_date() -> None:
    writer = Memory()
    asyncio.run(ensure(writer, objects(settings())))
    asyncio.run(ensure(writer, objects(settings(advertise_address="192.0.2.9", now="2027-01-01T00:00:00Z"))))
    endpoints = writer.objects["", "endpoints", "default", "kubernetes"]
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "192.0.2.9"}]
    tracking = "kube-apiserver-legacy-service-account-token-tracking"
    assert writer.objects["", "configmaps", "kube-system", tracking]["data"] == {"since": "2026-01-02"}


class Locked(Memory):
    """Config maps can neither be read nor encrypted; `wrong` is what happens to the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.locked = True
        self.wrong: Exception | None = None

    def get(self, planned: Any) -> Any:
        found = super().get(planned)
        if self.locked and planned.plural == "configmaps" and found is not None:
            raise errors.InternalError("no key")
        return found

    async def create_missing(self, planned: Any) -> None:
        if self.wrong is not None:
            raise self.wrong
        await super().create_missing([p for p in planned if not self.locked or p.plural != "configmaps"])
        if self.locked and any(p.plural == "configmaps" for p in planned):
            raise EncryptionError("no key")

    async def change(self, planned: Any, edit: Any) -> None:
        if self.locked and planned.plural == "configmaps":
            raise errors.InternalError("no key")
        await super().change(planned, edit)


def test_what_can_not_be_encrypted_waits() -> None:
    writer, planned = Locked(), objects(settings())
    waiting = asyncio.run(ensure(writer, planned))
    maps = [p for p in planned if p.plural == "configmaps"]
    assert maps and [p for p in waiting if p.plural == "configmaps"] == maps
    assert len(writer.objects) == len(planned) - len(maps)
    writer.locked = False
    assert asyncio.run(ensure(writer, waiting)) == []
    assert len(writer.objects) == len(planned)
    writer.locked = True
    assert asyncio.run(ensure(writer, planned)) == maps


def test_what_the_store_has_no_space_for_waits() -> None:
    writer, planned = Locked(), objects(settings())
    writer.wrong = Full("mvcc: database space exceeded")
    assert asyncio.run(ensure(writer, planned)) == planned
    writer.wrong, writer.locked = None, False
    assert asyncio.run(ensure(writer, planned)) == [] and len(writer.objects) == len(planned)


def test_other_errors_end_the_start() -> None:
    writer = Locked()
    writer.wrong = Unavailable("the store is gone")
    with pytest.raises(Unavailable):
        asyncio.run(ensure(writer, objects(settings())))


async def test_what_waits_is_tried_again(virtual: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    writer, planned = Locked(), objects(settings())
    rest = bootstrap.BootstrapRetry(writer, await ensure(writer, planned))
    rest.start()
    await virtual.advance(1.5 * bootstrap.RETRY_SECONDS)
    assert len(writer.objects) < len(planned)
    writer.wrong = Unavailable("the store is gone")
    await virtual.advance(bootstrap.RETRY_SECONDS)
    assert "the store is gone" in [str(pairs(r).get("err")) for r in caplog.records]
    writer.wrong, writer.locked = None, False
    await virtual.advance(bootstrap.RETRY_SECONDS)
    assert len(writer.objects) == len(planned)
    await rest.close()


def role(*rules: Any, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r", **metadata}, "rules": list(rules)}


GET = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
LIST = {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}
PROTECTED = {"rbac.authorization.kubernetes.io/autoupdate": "false"}


def test_a_role_gets_what_it_lacks_and_keeps_the_rest() -> None:
    expected = role(GET, labels={"a": "b"})
    repaired = bootstrap.reconciled_role(role(LIST, labels={"c": "d"}), expected)
    assert repaired["rules"] == [LIST, GET] and repaired["metadata"]["labels"] == {"a": "b", "c": "d"}
    kept = role(LIST, annotations=PROTECTED)
    assert bootstrap.reconciled_role(kept, expected) is kept
    aggregated = {**role(), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}}
    repaired = bootstrap.reconciled_role(role(LIST), aggregated)
    assert repaired["rules"] == [LIST]
    assert repaired["aggregationRule"] == aggregated["aggregationRule"]


def binding(role: str = "r", *subjects: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "b", **metadata},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": list(subjects),
    }


def test_a_binding_gets_subjects_and_is_made_anew_for_another_role() -> None:
    jane, jim = {"kind": "User", "name": "jane"}, {"kind": "User", "name": "jim"}
    assert bootstrap.reconciled_binding(binding("r", jane), binding("r", jim))["subjects"] == [jane, jim]

    def run(live: Any) -> Any:
        writer = Memory()
        planned = BootstrapObject("rbac.authorization.k8s.io", "v1", "clusterrolebindings", binding("r", jim))
        writer.objects[writer.key(planned)] = live
        asyncio.run(ensure(writer, [planned]))
        return writer.get(planned)

    assert run(binding("other", jane)) == binding("r", jim)
    assert run(binding("other", jane, annotations=PROTECTED))["roleRef"]["name"] == "other"


@pytest.mark.parametrize(
    ("name", "annotation", "generation", "repaired"),
    [
        ("s", "true", 3, True),
        ("s", "false", 1, False),
        ("s", None, 1, True),
        ("s", None, 2, False),
        ("catch-all", None, 2, True),
    ],
)
def test_a_flow_schema_is_kept_as_its_annotation_says(
    name: str, annotation: str | None, generation: int, repaired: bool
) -> None:
    annotations = {"apf.kubernetes.io/autoupdate-spec": annotation} if annotation else {}
    metadata = {"name": name, "generation": generation, "annotations": annotations}
    live = {"metadata": metadata, "spec": {"matchingPrecedence": 1}}
    expected = {"metadata": {"name": name}, "spec": {"matchingPrecedence": 2}}
    spec = bootstrap.reconciled_flow(live, expected)["spec"]
    assert spec == (expected if repaired else live)["spec"]
