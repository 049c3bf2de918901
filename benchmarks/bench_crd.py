"""Measure what an object of a custom resource costs:
compiling its schema once, then decoding, checking and restoring it."""

from typing import Any

import orjson
import pytest
from crds import definition

from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.codec import StructuralCodec
from pilothouse.api.structural.validate import Correlation, Validator, validate
from pilothouse.api.validate.crd import definition as crd
from pilothouse.api.values.fields import Errors, Object

DEFINITION = definition(1, 1)
SCHEMA = DEFINITION["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
COMPILED = structural.compile(SCHEMA)
CODEC = StructuralCodec("g0.example.com", "v1", "Thing1", lambda: COMPILED)
SAMPLES = {"string": "a.b-c", "integer": 80, "boolean": True, "array": ["a", "b"], "object": {"k": "v"}}


def thing() -> Object:
    properties = SCHEMA["properties"]["spec"]["properties"]
    spec = {name: SAMPLES.get(member.get("type", ""), "80%") for name, member in properties.items()}
    return {"apiVersion": "g0.example.com/v1", "kind": "Thing1", "metadata": {"name": "a"}, "spec": spec}


def test_compile(benchmark: Any) -> None:
    benchmark(lambda: (structural.compile(SCHEMA), Validator(SCHEMA)))


def test_decode(benchmark: Any) -> None:
    body = orjson.dumps(thing())
    obj, notes = benchmark(CODEC.decode, body, "application/json", "Strict")
    assert obj == thing() and not notes


@pytest.mark.parametrize("update", [False, True], ids=["create", "update"])
def test_validate(benchmark: Any, update: bool) -> None:
    validator = Validator(SCHEMA)

    def run() -> Errors:
        errs = Errors()
        validate(validator, thing(), errs, "", Correlation(thing(), thing(), COMPILED) if update else None)
        return errs

    assert not benchmark(run)


def test_restore(benchmark: Any) -> None:
    body = orjson.dumps(thing())
    assert benchmark(lambda: CODEC.restore(orjson.loads(body))) == thing()


def test_definition(benchmark: Any) -> None:
    obj = {**DEFINITION, "status": {"storedVersions": ["v1"]}}
    obj["spec"]["names"].update(singular="thing1", listKind="Thing1List")

    def run() -> Errors:
        errs = Errors()
        crd.validate_create(obj, errs)
        return errs

    assert not benchmark(run)
