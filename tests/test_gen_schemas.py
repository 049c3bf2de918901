"""The generated type data matches its sources."""

from pathlib import Path

import pytest
from generators import load, run


def test_data_is_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("kubernetes_validate")
    generator = load("gen_schemas")
    run(generator, "--out", str(tmp_path))
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in generator.OUT.glob("*.z")}


def test_go_types_are_named_as_reflect_prints_them() -> None:
    generator = load("gen_schemas")
    schema = {"type": "array", "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}}
    assert generator.derived(schema) == "[]v1.Container"
    assert (
        generator.derived({"type": "object", "additionalProperties": {"type": "string"}})
        == "map[string]string"
    )
