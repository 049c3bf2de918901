import orjson
import pytest

from pilothouse.api.protobuf import writer as protobuf_writer
from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.encoding import reader, resources_by_key

to_json = reader(default_catalog({}))


def test_json_is_left_alone() -> None:
    assert to_json("/registry/pods/a", b'{"a":1}') == b'{"a":1}'


def test_protobuf_becomes_what_we_would_have_stored() -> None:
    pod = {
        "metadata": {"name": "a", "namespace": "b", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Pending"},
    }
    found = orjson.loads(to_json("/registry/pods/b/a", protobuf_writer.write(pod, "v1", "Pod")))
    assert found["kind"] == "Pod" and found["apiVersion"] == "v1"
    assert found["metadata"] == pod["metadata"]
    assert found["status"] == pod["status"]
    assert found["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}
    assert "resourceVersion" not in found["metadata"]


def test_json_of_another_server_ends_with_a_newline() -> None:
    assert to_json("/registry/example.com/widgets/a", b'{"a":1}\n') == b'{"a":1}'


@pytest.mark.parametrize(
    ("written", "kind", "kept"),
    [
        (
            "admissionregistration.k8s.io/v1beta1",
            "MutatingAdmissionPolicyBinding",
            "admissionregistration.k8s.io/v1",
        ),
        ("autoscaling/v1", "HorizontalPodAutoscaler", "autoscaling/v2"),
        ("events.k8s.io/v1", "Event", "v1"),
        ("apps/v1", "ControllerRevision", "apps/v1"),
    ],
)
def test_older_versions_become_the_one_that_is_stored(written: str, kind: str, kept: str) -> None:
    obj = {"metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    found = orjson.loads(to_json("/registry/any/a", protobuf_writer.write(obj, written, kind)))
    assert (found["apiVersion"], found["kind"], found["metadata"]["name"]) == (kept, kind, "a")


def test_json_of_another_server_is_converted_like_protobuf() -> None:
    stored = (
        b'{"kind":"MutatingAdmissionPolicyBinding","apiVersion":"admissionregistration.k8s.io/v1beta1",'
        b'"metadata":{"name":"a","uid":"u","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"policyName":"p"}}\n'
    )
    found = orjson.loads(to_json("/registry/mutatingadmissionpolicybindings/a", stored))
    assert (found["apiVersion"], found["spec"]) == ("admissionregistration.k8s.io/v1", {"policyName": "p"})


def test_json_of_another_server_gets_defaults() -> None:
    """An older kube-apiserver did not know of all of them when it stored the object."""
    stored = (
        b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","namespace":"b"},"data":{"c":"ZA=="}}\n'
    )
    assert orjson.loads(to_json("/registry/secrets/b/a", stored))["type"] == "Opaque"


@pytest.mark.parametrize("kind", ["Nothing", "RangeAllocation"])
def test_json_of_a_kind_that_is_not_served(kind: str) -> None:
    stored = f'{{"kind":"{kind}","apiVersion":"v1","data":""}}'.encode()
    assert to_json("/registry/any/a", stored + b"\n") == stored


def test_what_is_no_message() -> None:
    with pytest.raises(ValueError, match="EOF"):
        to_json("/registry/pods/a", b"k8s\0\x0a\x05")


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("/registry/secrets/default/a", "secrets"),
        ("/registry/minions/a", "nodes"),
        ("/registry/services/specs/default/a", "services"),
        ("/registry/services/endpoints/default/a", "endpoints"),
        ("/registry/deployments/default/a", "deployments.apps"),
        ("/registry/leases/default/a", "leases.coordination.k8s.io"),
        ("/registry/example.com/widgets/default/a", "widgets.example.com"),
        ("/registry/ranges/servicenodeports", "servicenodeportallocations"),
        ("/registry/ranges/serviceips", "serviceipallocations"),
        ("/registry/masterleases/192.0.2.1", ""),
        ("/registry/health", ""),
    ],
)
def test_resource_of_a_key(key: str, resource: str) -> None:
    assert resources_by_key(default_catalog({}))(key) == resource


def test_definitions_of_kube_apiserver_are_those_that_we_would_have_stored() -> None:
    """kube-apiserver stores definitions as v1beta1 in JSON; v1's defaults are applied as well."""
    stored = (
        b'{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1beta1",'
        b'"metadata":{"name":"widgets.example.com","uid":"u","creationTimestamp":"2026-01-01T00:00:00Z"},'
        b'"spec":{"group":"example.com","version":"v1","names":{"plural":"widgets","kind":"Widget"},"scope":"Namespaced",'
        b'"validation":{"openAPIV3Schema":{"type":"object"}},"versions":[{"name":"v1","served":true,"storage":true}],'
        b'"conversion":{"strategy":"None"},"preserveUnknownFields":false},'
        b'"status":{"conditions":null,"acceptedNames":{"plural":"","kind":""},"storedVersions":["v1"]}}\n'
    )
    found = orjson.loads(
        to_json("/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com", stored)
    )
    assert found["apiVersion"] == "apiextensions.k8s.io/v1"
    (version,) = found["spec"]["versions"]
    assert version == {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    assert found["spec"]["names"] == {
        "plural": "widgets",
        "kind": "Widget",
        "singular": "widget",
        "listKind": "WidgetList",
    }
