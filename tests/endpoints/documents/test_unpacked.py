"""Documents that are unpacked while they are sent."""

import gzip
import os

import pytest

from pilothouse.endpoints.documents.unpacked import PART, Unpacked
from pilothouse.server.request import Packable


@pytest.mark.parametrize("data", [b"", b"a", b"a" * (3 * PART), os.urandom(2 * PART + 1)])
def test_it_is_the_document(data: bytes) -> None:
    packed = gzip.compress(data)
    body = Unpacked(packed)
    parts = list(body)
    assert b"".join(parts) == data and body.size == len(data)
    assert all(len(part) <= PART for part in parts)
    assert isinstance(body, Packable) and list(body.gzip()) == [packed]
    assert list(body) == parts, "it can be sent again"
