"""Extreme values of custom resources, graces, tokens and amounts."""

import asyncio
import random
from typing import Any

import pytest
from eventually import aeventually
from extreme_player import LISTS, NAMESPACE, SEED, Mistakes, Player, check
from extremes import ENDS, LONGEST, PERIODS
from fuzz.scenario import JSON, MERGE, PARTIAL, PARTIAL_LIST, TABLE, YAML
from fuzz.seeds import Object
from harness import PODS, Rig, pod
from rsa_pem import rsa_pem

from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.priority import Priority
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.authn import keys
from pilothouse.authn.serviceaccount import ServiceAccountTokens, TokenIssuer
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.namespaces import NamespaceDeletion
from pilothouse.controllers.quota import ResourceQuotas
from pilothouse.errors import Unauthorized
from pilothouse.registry.crd import Definitions

pytestmark = pytest.mark.slow


def definition() -> Object:
    """Widgets: a member of each type and format, each of them in a column, and all of it free below `any`."""
    members: dict[str, Object] = {
        "integer": {"type": "integer"},
        "int32": {"type": "integer", "format": "int32", "default": 1},
        "int64": {"type": "integer", "format": "int64"},
        "number": {"type": "number"},
        "float": {"type": "number", "format": "float"},
        "text": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "duration": {"type": "string", "format": "duration"},
        "bytes": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": True},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    spec = {"type": "object", "properties": members}
    kinds = {"integer": "integer", "number": "number", "string": "string"}
    columns = [
        {"name": f"{name}-{as_}", "type": as_, "jsonPath": f".spec.{name}"}
        for name, one in members.items()
        for as_ in {kinds.get(one.get("type", ""), "string"), "date", "string", "integer", "number"}
    ]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.int32", "statusReplicasPath": ".status.replicas"},
        },
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                },
            }
        },
        "additionalPrinterColumns": columns,
    }
    names = {"plural": "widgets", "kind": "Widget"}
    return {
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


SORTS = {
    **dict.fromkeys(("integer", "int32", "int64"), "int64"),
    **dict.fromkeys(("number", "float"), "number"),
    **{
        "text": "string",
        "time": "time",
        "duration": "duration",
        "bytes": "bytes",
        "port": "intorstring",
        "any": "any",
    },
}
"""The members of a widget -> whose ends they are given."""


async def test_extreme_custom_resources(rig: Rig, mistakes: Mistakes) -> None:
    controller = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
    controller.start()
    player = Player(rig, random.Random(SEED))
    try:
        await rig.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition())
        await rig.settle()
        where = "/apis/example.com/v1/namespaces/default/widgets"
        resource = rig.catalog.get("example.com", "v1", "widgets")
        assert resource is not None
        for name, sort in SORTS.items():
            for at, value in enumerate(ENDS[sort]):
                metadata = {"name": f"{name}-{at}", "managedFields": [MANAGED]}
                obj = {
                    "apiVersion": "example.com/v1",
                    "kind": "Widget",
                    "metadata": metadata,
                    "spec": {name: value},
                }
                if (await player.send("POST", where, obj)).status < 300:
                    player.paths[f"{where}/{name}-{at}"] = resource
        assert len(player.paths) > 50
        await player.change_all()
        for accept in (JSON, YAML, TABLE, PARTIAL_LIST):
            assert (await player.send("GET", where, accept=accept)).status == 200
        for accept in (JSON, TABLE, PARTIAL):
            watch = await player.send("GET", f"{where}?watch=1", accept=accept)
            assert watch.stream is not None and not watch.stream.closed
            assert watch.stream.data.count(b'"ADDED"') == len(player.paths)
        await player.delete_all()
        check(player, mistakes)
    finally:
        await controller.close()


MANAGED = {
    "manager": "m",
    "operation": "Update",
    "apiVersion": "example.com/v1",
    "time": "9999-12-31T23:59:59-24:00",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {}},
}


GRACES = "/api/v1/namespaces/n/pods"


async def pods_of_every_grace(rig: Rig, player: Player, owner: Object) -> None:
    """Pods whose graces are at the ends of all counts, deleted and evicted with others;
    some of them have an owner."""
    resource = rig.catalog.get("", "v1", "pods")
    assert resource is not None
    for at, own in enumerate(PERIODS):
        for also, asked in enumerate((None, *PERIODS)):
            name, path = f"p-{at}-{also}", f"{GRACES}/p-{at}-{also}"
            spec = {
                "nodeName": "here" if also % 2 else "gone",
                "terminationGracePeriodSeconds": own,
                "serviceAccountName": "a",
            }
            made = pod(name, spec=spec, ownerReferences=[owner] if also % 3 else [])
            if (await player.send("POST", GRACES, made)).status >= 300:
                break
            player.paths[path] = resource
            options = {} if asked is None else {"gracePeriodSeconds": asked}
            if also % 4:
                await player.send("DELETE", path, options)
            else:
                eviction = {"metadata": {"name": name, "namespace": "n"}, "deleteOptions": options}
                await player.send("POST", f"{path}/eviction", eviction)
    assert len(player.paths) > 60


async def tokens_of_every_length(rig: Rig, player: Player) -> None:
    """Tokens of a service account and of pods that are being deleted, and requests with them."""
    pem = rsa_pem()
    issuer = TokenIssuer("https://me", keys.signing_with(keys.load_private(pem)), rig.readers, ("api",))
    checked = ServiceAccountTokens(
        keys.StaticKeys(keys.load_public(pem)), ["https://me"], ["api"], rig.readers
    )
    rig.verbs.issuer = issuer
    names = [path.rpartition("/")[2] for path in player.paths]
    bound = [{}, *({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name}} for name in names)]
    issued = 0
    for at, more in enumerate(bound):
        for seconds in (PERIODS[at % len(PERIODS)], 600, 1 << 32):
            spec = {"audiences": ["api"], "expirationSeconds": seconds, **more}
            answer = await player.send("POST", "/api/v1/namespaces/n/serviceaccounts/a/token", {"spec": spec})
            if answer.status == 201:
                issued += 1
                try:
                    await checked.authenticate_token(answer.body["status"]["token"], ())
                except Unauthorized:  # of a pod whose time of deletion is long past
                    assert more
    assert issued > 10


async def test_a_namespace_with_every_grace_ends(virtual: Any, rig: Rig, mistakes: Mistakes) -> None:
    namespaces, garbage = NamespaceDeletion(rig.client("a")), GarbageCollector(rig.client("b"))
    namespaces.start()
    garbage.start()
    player = Player(rig, random.Random(SEED))
    maps = "/api/v1/namespaces/n/configmaps"
    try:
        await rig.namespace("n")
        await rig.ok("POST", "/api/v1/namespaces/n/serviceaccounts", {"metadata": {"name": "a"}})
        await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "here"}})
        owner = await rig.ok("POST", maps, {"metadata": {"name": "owner"}})
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
        }
        await pods_of_every_grace(rig, player, reference)
        await tokens_of_every_length(rig, player)
        for accept in LISTS:
            assert (await player.send("GET", "/api/v1/pods", accept=accept)).status == 200
        await player.send("DELETE", f"{maps}/owner?propagationPolicy=Foreground")
        await rig.settle()
        await player.send("DELETE", "/api/v1/namespaces/n")
        await rig.settle()
        for path in player.paths:
            await player.send("DELETE", f"{path}?gracePeriodSeconds=0")
        await aeventually(lambda: rig.readers.get("namespaces", "", "n") is None, "the end", 60)
        check(player, mistakes)
    finally:
        await namespaces.close()
        await garbage.close()


def amounts_pod(player: Player, value: str, also: str) -> Object:
    """A pod of three containers that ask for these amounts."""
    asked = (("a", value, also), ("b", also, value), ("c", value, value))
    containers = [
        {
            "name": name,
            "image": "i",
            "resources": {"requests": {"cpu": one}, "limits": {"cpu": one, "memory": other}},
        }
        for name, one, other in asked
    ]
    return pod("", spec={"containers": containers}, generateName="p-")


async def limit(player: Player) -> None:
    """A limit range and a quota of every amount."""
    for at, value in enumerate(("0", *ENDS["quantity"])):
        bounds = {"max": {"cpu": value}, "min": {"memory": value}, "maxLimitRequestRatio": {"cpu": value}}
        limits = {"metadata": {"name": f"l{at}"}, "spec": {"limits": [{"type": "Container", **bounds}]}}
        await player.send("POST", f"{NAMESPACE}/limitranges", limits)
        hard = {"requests.cpu": value, "limits.memory": value, "requests.storage": value, "pods": value}
        await player.send(
            "POST", f"{NAMESPACE}/resourcequotas", {"metadata": {"name": f"q{at}"}, "spec": {"hard": hard}}
        )


async def fill(player: Player) -> int:
    """Create pods of every amount with some others, and show what is counted; how many were made."""
    made, amounts = 0, ENDS["quantity"]
    for value in amounts:
        for also in (value, *player.chance.sample(amounts, 3)):
            made += (await player.send("POST", PODS, amounts_pod(player, value, also))).status < 300
    await player.rig.settle()
    for kind in ("limitranges", "resourcequotas", "pods"):
        for accept in LISTS:
            assert (await player.send("GET", f"{NAMESPACE}/{kind}", accept=accept)).status == 200
    return made


async def test_extreme_amounts_are_counted_and_limited(runner: asyncio.Runner, mistakes: Mistakes) -> None:
    """Quotas and limit ranges whose amounts are extreme, and pods whose requests are: each with each."""
    plugin = ResourceQuota()
    async with Rig((NamespaceLifecycle(), LimitRanger(), Priority(), plugin)) as rig:
        plugin.ledger.follow(rig.client("a"))
        controller = ResourceQuotas(rig.client("b"), plugin.ledger, delay=0)
        controller.start()
        player = Player(rig, random.Random(SEED))
        await limit(player)
        await rig.settle()
        made = await fill(player)
        await player.send("DELETE", f"{NAMESPACE}/limitranges")
        wide = {
            "spec": {"hard": {"requests.cpu": "1e2147483647", "limits.memory": "1e2147483647", "pods": "1e9"}}
        }
        for at in range(len(ENDS["quantity"]) + 1):
            await player.send("PATCH", f"{NAMESPACE}/resourcequotas/q{at}", wide, MERGE)
        await rig.settle()
        made += await fill(player)
        assert made > 10
        await player.send("DELETE", f"{PODS}?gracePeriodSeconds={LONGEST}")
        await rig.settle()
        await controller.close()
        await plugin.ledger.close()
        check(player, mistakes)
