"""Types of built-in kinds from the generated data."""

import pathlib
import subprocess
import sys

import pytest

from pilothouse.api.types import schema

SOURCE = str(pathlib.Path(schema.__file__).parents[3])


def pod() -> schema.Type:
    return schema.for_kind("", "v1", "Pod")


def container() -> schema.Type:
    items = pod().fields["spec"].type.fields["containers"].type.items
    assert items is not None
    return items


def test_lists_carry_their_keys_and_merge_keys() -> None:
    ports = container().fields["ports"]
    assert ports.type.list_type == "map"
    assert ports.type.list_keys == ("containerPort", "protocol")
    assert ports.patch_strategy == "merge"
    assert ports.patch_merge_key == "containerPort"


def test_go_flags() -> None:
    fields = container().fields
    assert fields["livenessProbe"].pointer and fields["livenessProbe"].omit
    assert not fields["resources"].omit  # a Go struct is never empty
    assert not fields["name"].omit and not fields["name"].pointer
    assert fields["args"].omit and not fields["args"].pointer


def test_times_that_are_omitted_or_null() -> None:
    meta = schema.builtin("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    assert meta.fields["creationTimestamp"].omit
    assert not schema.for_kind("", "v1", "Event").fields["firstTimestamp"].omit


def test_special_kinds() -> None:
    requirements = schema.builtin("io.k8s.api.core.v1.ResourceRequirements")
    limits = requirements.fields["limits"].type
    assert limits.items is not None and limits.items.kind == "quantity"
    assert limits.go == "v1.ResourceList"
    assert schema.builtin("io.k8s.api.core.v1.ServicePort").fields["targetPort"].type.kind == "intorstring"
    assert schema.builtin("io.k8s.api.core.v1.Secret").fields["data"].type.go == "map[string][]uint8"


def test_embedded_structs_are_named() -> None:
    assert schema.builtin("io.k8s.api.core.v1.Volume").fields["secret"].embedded == "VolumeSource"


def test_recursive_types_end() -> None:
    props = schema.builtin("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    items = props.fields["properties"].type.items
    assert items is props


def test_types_are_shared() -> None:
    assert schema.for_kind("", "v1", "Pod") is pod()


@pytest.mark.parametrize("kind", [("", "v1", "Nothing"), ("nope", "v1", "Pod"), ("apps", "v1", "Pod")])
def test_unknown_kinds(kind: tuple[str, str, str]) -> None:
    with pytest.raises(KeyError):
        schema.for_kind(*kind)


def test_options_belong_to_every_version() -> None:
    assert schema.for_kind("apps", "v1", "DeleteOptions") is schema.for_kind("", "v1", "DeleteOptions")


def test_definition_keeps_what_openapi_shows() -> None:
    shown = schema.definition("io.k8s.api.core.v1.ContainerPort")
    assert shown["required"] == ["containerPort"]
    assert shown["properties"]["containerPort"] == {"default": 0, "format": "int32", "type": "integer"}
    assert shown["properties"]["protocol"]["default"] == "TCP"
    assert "description" not in shown


def test_definitions_of_a_version_reach_what_they_use() -> None:
    names = schema.definitions("apps", "v1")
    assert "io.k8s.api.apps.v1.Deployment" in names
    assert "io.k8s.api.core.v1.PodSpec" in names
    assert names == sorted(names)


def test_every_kind_has_a_type() -> None:
    for group_version, kinds in schema.index()["kinds"].items():
        group, _, version = group_version.rpartition("/")
        for kind in kinds:
            assert schema.for_kind(group, version, kind).kind == "struct"


def test_a_pods_types_load_quickly() -> None:
    """The process has loaded none before: types are kept once they are made.
    About 10 ms on a quiet machine."""
    program = (
        "import time; from pilothouse.api.types import schema; begun = time.process_time();"
        "schema.for_kind('', 'v1', 'Pod'); print(time.process_time() - begun)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={"PYTHONPATH": SOURCE}, check=True
    )
    assert 0 < float(done.stdout) < 0.2
