"""Random UUIDs, compiled against the plain version kept here (pytest-benchmark)."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from pilothouse.api._uuid import new_uuid


def plain() -> str:
    """A UUID in plain Python, which asks the system once for each."""
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


@pytest.mark.parametrize("make", [plain, new_uuid], ids=["plain", "compiled"])
def test_uuid(benchmark: Any, make: Callable[[], str]) -> None:
    assert len(benchmark(make)) == 36
