"""The generated type data is what its sources say."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_schemas", ROOT / "tools/gen_schemas.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_data_is_up_to_date() -> None:
    pytest.importorskip("kubernetes_validate")
    generator = load_generator()
    for name, content in generator.build().items():
        assert (generator.OUT / name).read_bytes() == content, name


def test_go_types_are_named_as_reflect_prints_them() -> None:
    generator = load_generator()
    schema = {"type": "array", "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}}
    assert generator.derived(schema) == "[]v1.Container"
    assert (
        generator.derived({"type": "object", "additionalProperties": {"type": "string"}})
        == "map[string]string"
    )
