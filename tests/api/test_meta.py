import os
import re
import uuid
from typing import Any

import pytest
from complexity import assert_linear

from pilothouse.api import meta
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors


def causes(check: Any, *args: Any) -> list[str]:
    errs = Errors()
    check(*args, errs)
    return [f"{cause['field']}: {cause['message']}" for cause in errs.causes]


def pod(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "namespace": "default", "resourceVersion": "1", **metadata}}


def created(**metadata: Any) -> Any:
    return causes(meta.validate_create, pod(**metadata), True, names.dns_subdomain)


def updated(new: Any, old: Any) -> Any:
    return causes(meta.validate_update, pod(**new), pod(**old))


def test_uids_are_random_uuids() -> None:
    uids = {meta.new_uid() for _ in range(1000)}  # random bytes are fetched several times meanwhile
    assert len(uids) == 1000
    for uid in uids:
        parsed = uuid.UUID(uid)
        assert str(parsed) == uid
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_a_child_of_fork_makes_other_uids() -> None:
    meta.new_uid()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, meta.new_uid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 36).decode() not in {meta.new_uid() for _ in range(300)}
    os.close(read)
    os.close(write)


def test_times() -> None:
    assert meta.now(0) == "1970-01-01T00:00:00Z"
    assert meta.now_micro(1.5) == "1970-01-01T00:00:01.500000Z"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", meta.now_micro())


def test_generated_names() -> None:
    assert re.fullmatch("job-[bcdfghjklmnpqrstvwxz2456789]{5}", meta.generate_name("job-"))
    assert len(meta.generate_name("x" * 100)) == 63


def test_system_fields_are_wiped() -> None:
    obj = pod(uid="u", creationTimestamp="t", selfLink="s", deletionGracePeriodSeconds=1, generation=4)
    meta.wipe_system_fields(obj)
    assert obj == pod(generation=4)


def test_good_metadata() -> None:
    assert created(labels={"a": "b"}, annotations={"X/y": "Z"}, finalizers=["a.b/c", "orphan"]) == []


def test_names() -> None:
    nameless: dict[str, Any] = {"metadata": {}}
    assert causes(meta.validate_create, nameless, False, names.dns_subdomain) == [
        "metadata.name: Required value: name or generateName is required"
    ]
    assert causes(meta.validate_create, pod(), False, names.dns_subdomain) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]
    assert causes(meta.validate_create, {"metadata": {"name": "a"}}, True, names.dns_subdomain) == [
        "metadata.namespace: Required value"
    ]
    found = created(generateName="B_", name="B_x")
    assert [text.split(":")[0] for text in found] == ["metadata.generateName", "metadata.name"]


def test_owners() -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    assert created(ownerReferences=[owner]) == []
    assert created(ownerReferences=[owner, {**owner, "kind": "Job"}]) == [
        'metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u",'
        '"controller":true},{"apiVersion":"v1","kind":"Job","name":"p","uid":"u","controller":true}]: Only'
        ' one reference can have Controller set to true. Found "true" in references for Pod/p and Job/p'
    ]
    assert created(ownerReferences=[{"apiVersion": "a/b/c"}]) == [
        'metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty',
        'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
        'metadata.ownerReferences.name: Invalid value: "": must not be empty',
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ]
    event = {"uid": "u", "name": "e", "kind": "Event", "apiVersion": "v1"}
    assert created(ownerReferences=[event]) == [
        'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}:'
        " /v1, Kind=Event is disallowed from being an owner"
    ]


def test_finalizers() -> None:
    assert created(finalizers=["orphan", "foregroundDeletion"]) == [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and'
        " foregroundDeletion cannot be both set"
    ]
    assert causes(meta.validate_finalizer_names, pod(finalizers=["orphan", "mine", "a/b"])) == [
        'metadata.finalizers[1]: Invalid value: "mine": name is neither a standard finalizer name nor is it'
        " fully qualified"
    ]


def test_annotations_size() -> None:
    assert created(annotations={"a": "x" * 262143}) == []
    assert created(annotations={"a": "x" * 262144}) == [
        "metadata.annotations: Too long: may not be more than 262144 bytes"
    ]


def test_managed_fields() -> None:
    entry = {"operation": "Patch", "fieldsType": "V2", "manager": "a\nb", "subresource": "s" * 257}
    assert created(managedFields=[entry]) == [
        'metadata.managedFields[0].operation: Invalid value: "Patch": must be `Apply` or `Update`',
        'metadata.managedFields[0].fieldsType: Invalid value: "V2": must be `FieldsV1`',
        'metadata.managedFields[0].manager: Invalid value: "a\\nb": invalid character U+000A (at position 1)',
        "metadata.managedFields[0].subresource: Too long: may not be more than 256 bytes",
    ]


@pytest.mark.parametrize(
    ("new", "old", "wrong"),
    [
        ({}, {}, []),
        ({"uid": "b"}, {"uid": "a"}, ['metadata.uid: Invalid value: "b": field is immutable']),
        (
            {"deletionTimestamp": "t"},
            {},
            ['metadata.deletionTimestamp: Invalid value: "t": field is immutable'],
        ),
        (
            {},
            {"creationTimestamp": "t"},
            ["metadata.creationTimestamp: Invalid value: null: field is immutable"],
        ),
        (
            {"generation": 1},
            {"generation": 2},
            ["metadata.generation: Invalid value: 1: must not be decremented"],
        ),
        (
            {"resourceVersion": ""},
            {},
            ['metadata.resourceVersion: Invalid value: "": must be specified for an update'],
        ),
        (
            {"deletionTimestamp": "t", "finalizers": ["a/c", "a/b"]},
            {"deletionTimestamp": "t", "finalizers": ["a/b"]},
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being"
                ' deleted, found new finalizers []string{"a/c"}'
            ],
        ),
    ],
)
def test_updates(new: dict[str, Any], old: dict[str, Any], wrong: list[str]) -> None:
    assert updated(new, old) == wrong


def test_metadata_is_checked_in_linear_time() -> None:
    def check(metadata: Any) -> None:
        causes(
            meta.validate_create,
            {"metadata": {"name": "a", "namespace": "b", **metadata}},
            True,
            names.dns_subdomain,
        )

    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o"}
    assert_linear(check, lambda n: {"ownerReferences": [{**owner, "uid": f"{i}"} for i in range(n)]}, 1000)
    assert_linear(check, lambda n: {"finalizers": [f"example.com/f{i}" for i in range(n)]}, 1000)
    assert_linear(check, lambda n: {"annotations": {f"example.com/a{i}": "v" for i in range(n)}}, 1000)


def test_characters_of_a_manager_are_counted_in_linear_time() -> None:
    """Only the place of each is counted here; how many causes there may be is the matter of Errors."""

    class Quiet(Errors):
        def invalid(self, path: str, value: Any, why: Any) -> None:
            pass

    assert_linear(lambda text: meta.validate_manager(Quiet(), "m", text), lambda n: "\u00e9\x01" * n, 2000)
