"""Reading and writing a pod of 6 KB in protobuf, compiled and by the plain models of the tests:
`pytest benchmarks/bench_protobuf.py`."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from api.protobuf import reader_model, writer_model
from bench_schema import BODY, POD_KIND

from pilothouse.api import codec
from pilothouse.api.protobuf import _reader, _writer, writer
from pilothouse.api.types import schema

TYPE = schema.for_kind(*POD_KIND)
POD, _ = codec.decode(BODY, codec.JSON, TYPE, POD_KIND)
MESSAGE = _writer.encode(POD, TYPE)
BODIES = {codec.JSON: orjson.dumps(POD), codec.PROTOBUF: writer.frame(MESSAGE, "v1", "Pod")}


@pytest.mark.parametrize("decode", [_reader.decode, reader_model.decode], ids=["compiled", "plain"])
def test_decode(benchmark: Any, decode: Callable[..., Any]) -> None:
    assert benchmark(decode, MESSAGE, TYPE)["spec"]["containers"]


@pytest.mark.parametrize("encode", [_writer.encode, writer_model.encode], ids=["compiled", "plain"])
def test_encode(benchmark: Any, encode: Callable[..., bytes]) -> None:
    assert benchmark(encode, POD, TYPE) == MESSAGE


@pytest.mark.parametrize("media", BODIES)
def test_body(benchmark: Any, media: str) -> None:
    """The whole way of a body to an object, by which a form is compared with the other."""
    assert benchmark(codec.decode, BODIES[media], media, TYPE, POD_KIND)[0] == POD
