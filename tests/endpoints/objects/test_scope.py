"""Steps that several verbs share."""

from typing import Any

import harness
import pytest
from complexity import assert_linear
from harness import ADMIN, CONFIG_MAPS, PODS, Rig, config_map, pod

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.objects import body, scope
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import WriteParams
from pilothouse.server.request import Request

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u1"}


def context(agent: str = "", namespace: str = "default") -> Any:
    headers = {"user-agent": agent} if agent else {}
    ctx = Context(
        Request("PUT", "/x", headers, []), RequestInfo("/x", "update", namespace=namespace), {}, "id"
    )
    ctx.user = ADMIN
    return ctx


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("", ("", "", "10.0.0.9")),
        ("10.0.0.1, 10.0.0.2", ("10.0.0.1, 10.0.0.2", "", "10.0.0.9")),
        (",".join(["10.0.0.1"] * 200), ("", "", "10.0.0.9")),
    ],
    ids=["none", "two", "too long"],
)
def test_the_addresses_that_a_history_keeps(forwarded: str, found: tuple[str, ...]) -> None:
    ctx = context()
    ctx.request.peer = ("10.0.0.9", 1)
    if forwarded:
        ctx.request.headers["x-forwarded-for"] = forwarded
    assert scope._sources(ctx) == found


@pytest.mark.parametrize(
    ("agent", "manager"),
    [
        ("kubectl/v1.36 (linux)", "kubectl"),
        ("plain", "plain"),
        ("", ""),
        ("a\x01b/1", "ab"),
        ("é" * 100, "é" * 64),
        ("x" * 127 + "é", "x" * 127),
    ],
    ids=lambda text: text[:9] or "none",
)
def test_a_manager_is_named_after_its_program(agent: str, manager: str) -> None:
    assert scope.manager_name(context(agent), WriteParams()) == manager
    assert scope.manager_name(context(agent), WriteParams(field_manager="own")) == "own"


def test_a_body_of_another_name() -> None:
    body.match_name({"metadata": {"name": "a"}}, "a", "default")
    for metadata, why in (
        ({}, "the name of the object (a based on URL) was undeterminable: name must be provided"),
        ({"name": "b"}, "the name of the object (b) does not match the name on the URL (a)"),
        (
            {"name": "a", "namespace": "n"},
            "the namespace of the object (n) does not match the namespace on the request (default)",
        ),
    ):
        with pytest.raises(errors.BadRequest) as caught:
            body.match_name({"metadata": metadata}, "a", "default")
        assert caught.value.message == why


async def test_a_body_of_another_namespace(rig: Rig) -> None:
    config_maps, nodes = rig.catalog.get("", "v1", "configmaps"), rig.catalog.get("", "v1", "nodes")
    obj: dict[str, Any] = {}
    body.match_namespace(context(), config_maps, obj)
    assert obj == {"metadata": {"namespace": "default"}}
    obj = {"metadata": {"namespace": "x"}}
    body.match_namespace(context(namespace=""), nodes, obj)
    assert obj == {"metadata": {}}
    with pytest.raises(errors.BadRequest, match="does not match the namespace sent on the request"):
        body.match_namespace(context(), config_maps, {"metadata": {"namespace": "x"}})


@pytest.mark.parametrize(
    ("after", "when"), [(False, "entries;"), (True, "entries after mutating admission happens;")]
)
def test_doubled_owners(after: bool, when: str) -> None:
    ctx = context()
    other = {**OWNER, "uid": "u2"}
    obj = {"metadata": {"ownerReferences": [OWNER, other, OWNER, OWNER]}}
    scope.dedupe_owners(ctx, obj, after)
    assert obj["metadata"]["ownerReferences"] == [OWNER, other]
    (warning,) = ctx.warnings
    assert when in warning and warning.endswith("duplicate UID(s) observed: u1, u1")
    scope.dedupe_owners(ctx, obj, after)
    assert len(ctx.warnings) == 1


class Plug(AdmissionPlugin):
    """Keeps what it was asked about."""

    def __init__(self, mutate: Any = None) -> None:
        self.asked: list[Any] = []
        self.change = mutate

    def mutate(self, a: Any) -> None:
        self.asked.append(("mutate", a.operation, a.name, a.namespace, a.dry_run))
        if self.change and a.obj is not None:
            self.change(a)

    def validate(self, a: Any) -> None:
        self.asked.append(("validate", a.operation, a.name, a.namespace, a.dry_run))


def plug(rig: Rig, **options: Any) -> Any:
    return harness.plug(rig.chain, Plug(**options))


async def test_admission_sees_every_write(rig: Rig) -> None:
    plugin = plug(rig)
    await rig.config_map("a")
    await rig.ok("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"}))
    await rig.ok("PATCH", CONFIG_MAPS + "/a", {}, headers={"Content-Type": "application/merge-patch+json"})
    await rig.ok("DELETE", CONFIG_MAPS + "/a?dryRun=All")
    await rig.ok("GET", CONFIG_MAPS)
    await rig.ok("DELETE", CONFIG_MAPS)
    expected = []
    for operation, dry_run in (
        ("CREATE", False),
        ("UPDATE", False),
        ("UPDATE", False),
        ("DELETE", True),
        ("DELETE", False),
    ):
        expected += [(half, operation, "a", "default", dry_run) for half in ("mutate", "validate")]
    # A delete of a collection names no object, as upstream's.
    expected[-2:] = [(half, "DELETE", "", "default", False) for half in ("mutate", "validate")]
    assert plugin.asked == expected


async def test_a_generated_name_is_known_to_the_last_word_alone(rig: Rig) -> None:
    plugin = plug(rig)
    made = await rig.ok("POST", CONFIG_MAPS, {"metadata": {"generateName": "g-"}})
    assert [asked[2] for asked in plugin.asked] == ["", made["metadata"]["name"]]


async def test_a_namespace_is_judged_as_its_own(rig: Rig) -> None:
    plugin = plug(rig)
    await rig.namespace("n")
    assert plugin.asked[0][2:4] == ("n", "n")
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "x"}})
    assert plugin.asked[-1][2:4] == ("x", "")


async def test_what_admission_changes_is_validated_and_stored(rig: Rig) -> None:
    plug(rig, mutate=lambda a: a.obj["metadata"].setdefault("labels", {}).update(new="yes"))
    assert (await rig.config_map("a"))["metadata"]["labels"] == {"new": "yes"}
    plug(rig, mutate=lambda a: a.obj["metadata"]["labels"].update(bad="-"))
    assert (await rig.call("POST", CONFIG_MAPS, config_map("b"))).status == 422


async def test_owners_that_admission_doubles(rig: Rig) -> None:
    plug(rig, mutate=lambda a: a.obj["metadata"].update(ownerReferences=[OWNER, OWNER]))
    answer = await rig.call("POST", CONFIG_MAPS, config_map("a"))
    assert answer.body["metadata"]["ownerReferences"] == [OWNER]
    assert "after mutating admission happens" in answer.warnings[0]


async def test_warnings_of_admission_reach_the_client(rig: Rig) -> None:
    plug(rig, mutate=lambda a: a.warnings.append("careful"))
    for call in (
        ("POST", CONFIG_MAPS, config_map("a")),
        ("PUT", CONFIG_MAPS + "/a", config_map("a", data={"k": "v"})),
    ):
        assert (await rig.call(*call)).warnings == ["careful"], call


async def test_nobody_grants_more_than_they_hold(rig: Rig) -> None:
    rule = {"verbs": ["create", "update", "patch"], "apiGroups": ["*"], "resources": ["roles"]}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    roles = f"{RBAC}/namespaces/default/roles"
    more = {
        "metadata": {"name": "x"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}],
    }
    message = await rig.fail(403, "POST", roles, more, user="jane")
    assert "is attempting to grant RBAC permissions not currently held" in message
    own = {
        "metadata": {"name": "x"},
        "rules": [{"verbs": ["create"], "apiGroups": ["*"], "resources": ["roles"]}],
    }
    await rig.ok("POST", roles, own, user="jane")
    message = await rig.fail(403, "PUT", roles + "/x", more, user="jane")
    assert "is attempting to grant RBAC permissions not currently held" in message


async def test_a_subresource_goes_by_its_own_rules(rig: Rig) -> None:
    await rig.ok("POST", PODS, pod("a"))
    ctx = context()
    pods = rig.catalog.get("", "v1", "pods")
    assert scope.strategy_of(ctx, pods) is pods.strategy
    ctx.subresource = pods.subresources["status"]
    assert scope.strategy_of(ctx, pods) is pods.subresources["status"].strategy


def test_owners_are_deduplicated_in_linear_time() -> None:
    def make(n: Any) -> dict[str, Any]:
        return {"metadata": {"ownerReferences": [{**OWNER, "uid": f"u{i % (n - 1)}"} for i in range(n)]}}

    assert_linear(lambda obj: scope.dedupe_owners(context(), obj, False), make, 1000, 40.0)
    obj = make(4)
    scope.dedupe_owners(context(), obj, False)
    assert [one["uid"] for one in obj["metadata"]["ownerReferences"]] == ["u0", "u1", "u2"]
