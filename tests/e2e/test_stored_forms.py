"""Every verb on what a kube-apiserver has stored, of every kind and in every form; see stored_forms.py."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from e2e.stored_forms import Form, load
from harness import Answer, Rig

from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry import encoding
from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.crd import Definitions
from pilothouse.registry.resource import Resource
from pilothouse.storage.encryption.backend import Encryption
from pilothouse.storage.encryption.config import VERSION, parse
from pilothouse.storage.interface import Op
from pilothouse.storage.memory import MemoryStorage

ENCRYPTED = "encrypted-"
"""How the names of variants begin whose values are encrypted; the name of the provider follows."""
SECRET = base64.b64encode(bytes(range(32))).decode()
PLAIN = {variant: forms for variant, forms in load().items() if not variant.startswith(ENCRYPTED)}
FORMS = [
    pytest.param(variant, form, id=f"{variant}{form.key}") for variant in PLAIN for form in PLAIN[variant]
]
DECODED = [param for param in FORMS if param.values[0] != "v1.36-json"]
"""The same objects in one encoding each: `test_reads` and `test_writes` show that both decode to the same."""
NOTE = "stored.example.com/changed"
NOTED = {"metadata": {"annotations": {NOTE: "yes"}}}
PATCHES: dict[str, Any] = {
    "application/json-patch+json": [
        {"op": "add", "path": f"/metadata/annotations/{NOTE.replace('/', '~1')}", "value": "yes"}
    ],
    "application/merge-patch+json": NOTED,
    "application/strategic-merge-patch+json": NOTED,
    "application/apply-patch+yaml": NOTED,
}
VIEWS = ("application/json;as=Table", "application/json;as=PartialObjectMetadata{}", "application/yaml")
"""The media types of a single object and, with `List` in the braces, of a list of them."""


def custom(form: Form) -> bool:
    """Whether it is an object of a kind that a definition defines."""
    return ".example.com/" in form.key


async def filled(forms: Iterable[Form]) -> MemoryStorage:
    """A storage with values at the revisions at which they were stored; other writes came in between."""
    storage = MemoryStorage()
    await storage.start()
    for form in forms:
        while storage.revision < form.revision - 1:
            await storage.txn([Op("/padding", b"")])
        await storage.create(form.key, form.value)
    return storage


@asynccontextmanager
async def serving(variant: str, form: Form) -> AsyncIterator[Rig]:
    """A server on one value and what it needs: its namespace, and the definitions of custom resources."""
    needed = ["/registry/namespaces/default"]
    if custom(form):
        needed.append("/registry/apiextensions.k8s.io/")
    forms = [f for f in load()[variant] if f == form or f.key.startswith(tuple(needed))]
    async with Rig(storage=await filled(forms), namespaces=(), flags=["--allow-privileged"]) as rig:
        definitions = Definitions(rig.store, rig.catalog)
        controller = CustomResourceDefinitions(rig.client("kube-apiserver"), definitions)
        controller.start()
        yield rig
        await controller.close()


def content(obj: Any) -> Any:
    """An object without what every write changes."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": metadata}


def exact(body: bytes) -> Any:
    """An answer with the digits of its numbers.
    The order of members is not looked at: it has no meaning in JSON."""
    return json.loads(body, parse_float=lambda text: ("float", text), parse_int=lambda text: ("int", text))


def resource_of(rig: Rig, path: str) -> Resource:
    parts = path.split("/")
    group, version = ("", parts[2]) if parts[1] == "api" else (parts[2], parts[3])
    found = rig.catalog.get(group, version, parts[-2])
    assert found is not None
    return found


def good(answer: Answer) -> Any:
    assert answer.status < 300, answer.body
    return answer.body


@pytest.mark.parametrize(("variant", "form"), FORMS)
async def test_reads(runner: asyncio.Runner, variant: str, form: Form) -> None:
    async with serving(variant, form) as rig:
        for path, wanted in form.answers.items():
            response = await rig.respond("GET", path)
            body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
            assert exact(body) == exact(wanted)
            collection, _, name = path.rpartition("/")
            obj = json.loads(wanted)
            only = f"fieldSelector=metadata.name%3D{name}"
            listed = await rig.ok("GET", f"{collection}?{only}")
            assert [
                {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **item} for item in listed["items"]
            ] == [obj]
            stream = await rig.watch(f"{collection}?watch=1&{only}&resourceVersion=0")
            await rig.settle()
            assert stream.events() == [{"type": "ADDED", "object": obj}]
            for view in VIEWS:
                for target, form_of in ((path, ""), (collection, "List")):
                    accept = view.format(form_of) + ";g=meta.k8s.io;v=v1" * ("as=" in view)
                    good(await rig.call("GET", target, headers={"Accept": accept}))


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "form"), FORMS)
async def test_writes(runner: asyncio.Runner, variant: str, form: Form) -> None:
    async with serving(variant, form) as rig:
        for path, wanted in form.answers.items():
            obj = json.loads(wanted)
            before = await rig.ok("GET", path)
            assert content(await rig.ok("PUT", path, before)) == content(before)
            for media, patch in PATCHES.items():
                before = await rig.ok("GET", path)
                await rig.ok(
                    "PUT", path, {**before, "metadata": {**before["metadata"], "annotations": {"a": "b"}}}
                )
                headed = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]} if "apply" in media else {}
                body = json.dumps({**headed, **patch} if headed else patch).encode()
                answer = await rig.call(
                    "PATCH",
                    f"{path}?fieldManager=m" + "&force=true" * bool(headed),
                    body,
                    headers={"Content-Type": media},
                )
                if custom(form) and "strategic" in media:
                    assert answer.status == 415
                    continue
                assert good(answer)["metadata"]["annotations"][NOTE] == "yes"
            there = await rig.storage.get(form.key)
            assert json.loads(there.value)["metadata"]["uid"] == obj["metadata"]["uid"]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "form"), DECODED)
async def test_subresources(runner: asyncio.Runner, variant: str, form: Form) -> None:
    async with serving(variant, form) as rig:
        for path in form.answers:
            subresources = resource_of(rig, path).subresources
            if "status" in subresources:
                there = await rig.ok("GET", f"{path}/status")
                assert there == await rig.ok("GET", path)
                assert content(await rig.ok("PUT", f"{path}/status", there)) == content(there)
                await rig.ok(
                    "PATCH", f"{path}/status", NOTED, headers={"Content-Type": "application/merge-patch+json"}
                )
            if "scale" in subresources:
                scale = await rig.ok("GET", f"{path}/scale")
                scale["spec"]["replicas"] = 5
                changed = await rig.ok("PUT", f"{path}/scale", scale)
                assert changed["spec"]["replicas"] == 5


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "form"), DECODED)
async def test_removal(runner: asyncio.Runner, variant: str, form: Form) -> None:
    path, collection = form.path, form.collection
    only = f"fieldSelector=metadata.name%3D{path.rpartition('/')[2]}"
    for target, verb in ((path, "delete"), (f"{collection}?{only}", "deletecollection")):
        async with serving(variant, form) as rig:
            if verb not in resource_of(rig, path).verbs or path == "/api/v1/namespaces/default":
                continue
            stream = await rig.watch(f"{collection}?watch=1&{only}&resourceVersion={form.revision}")
            good(await rig.call("DELETE", target))
            await rig.settle()
            last = stream.events()[-1]
            assert last["type"] == "DELETED" or "deletionTimestamp" in last["object"]["metadata"]


@pytest.mark.parametrize("provider", ["aescbc", "aesgcm", "secretbox"])
def test_encrypted_values(provider: str) -> None:
    keys = {"keys": [{"name": "one", "secret": SECRET}]}
    rule = {"resources": ["configmaps", "secrets"], "providers": [{provider: keys}, {"identity": {}}]}
    config = {"apiVersion": VERSION, "kind": "EncryptionConfiguration", "resources": [rule]}
    catalog = default_catalog({})
    encryption = Encryption(
        parse(json.dumps(config).encode(), "a"), encoding.resources_by_key(catalog), "/registry"
    )
    read = encoding.reader(catalog)
    forms = load()[ENCRYPTED + provider]
    assert forms and all(form.value.startswith(f"k8s:enc:{provider}:v1:one:".encode()) for form in forms)
    for form in forms:
        found = json.loads(read(form.key, encryption.decrypt(form.key, form.value)))
        found["metadata"]["resourceVersion"] = str(form.revision)
        assert found == form.object
