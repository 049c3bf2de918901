"""Descriptions that the build lays beside the package."""

from pathlib import Path
from typing import Any

import pytest
from generators import load

from pilothouse.api.openapi.descriptions import NOTHING, Descriptions
from pilothouse.api.openapi.documents import OpenAPI
from pilothouse.registry.groups import batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("kubernetes_validate")
    out = tmp_path_factory.mktemp("descriptions")
    load("gen_descriptions").write(out)
    return out


def documents(folder: Path) -> OpenAPI:
    served = {("batch", "v1"): batch.RESOURCES}
    return OpenAPI(
        lambda: list(served), lambda group, version: served.get((group, version), []), Descriptions(folder)
    )


def test_types_and_members_are_described(folder: Path) -> None:
    reader = Descriptions(folder).reader()
    pod = reader.of("io.k8s.api.core.v1.PodStatus")
    assert pod.text.startswith("PodStatus represents") and "time" in pod.members["startTime"]
    assert reader.of("io.k8s.apimachinery.pkg.util.intstr.IntOrString").text
    assert reader.of("io.k8s.api.core.v1.Nothing") == reader.of("io.k8s.nothing.v1.Here") == NOTHING


def test_both_versions_show_them(folder: Path) -> None:
    openapi = documents(folder)
    name = "io.k8s.api.batch.v1.Job"
    schemas: list[Any] = [
        openapi.document("apis/batch/v1")["components"]["schemas"][name],
        openapi.built_in_v2(openapi.part_v2("apis/batch/v1").uses).definitions[name],
        openapi.finder_v2()(name),
    ]
    for schema in schemas:
        assert schema["description"].startswith("Job represents")
        assert schema["properties"]["spec"]["description"].startswith("Specification of the desired behavior")


def test_a_server_without_them_serves_documents(tmp_path: Path) -> None:
    openapi = documents(tmp_path / "none")
    job = openapi.document("apis/batch/v1")["components"]["schemas"]["io.k8s.api.batch.v1.Job"]
    assert "description" not in job and job["type"] == "object"


def test_the_hash_of_a_document_tells_whether_it_has_them(folder: Path, tmp_path: Path) -> None:
    hashes = [documents(one).hash("apis/batch/v1") for one in (folder, folder, tmp_path / "none")]
    assert hashes[0] == hashes[1] != hashes[2]
