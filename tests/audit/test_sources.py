"""The addresses a request came from (apimachinery util/net SourceIPs)."""

import pytest

from pilothouse.audit.sources import source_ips, user_agent


@pytest.mark.parametrize(
    ("headers", "peer", "expected"),
    [
        ({}, "10.0.0.1", ["10.0.0.1"]),
        ({}, "::1", ["::1"]),
        ({}, "::ffff:10.0.0.1", ["10.0.0.1"]),
        ({}, "", []),
        ({"x-forwarded-for": "1.1.1.1, nonsense ,2.2.2.2"}, "10.0.0.1", ["1.1.1.1", "2.2.2.2", "10.0.0.1"]),
        ({"x-forwarded-for": "1.1.1.1", "x-real-ip": "1.1.1.1"}, "3.3.3.3", ["1.1.1.1", "3.3.3.3"]),
        ({"x-forwarded-for": "1.1.1.1", "x-real-ip": "2.2.2.2"}, "2.2.2.2", ["1.1.1.1", "2.2.2.2"]),
        ({"x-forwarded-for": "1.1.1.1,2.2.2.2"}, "1.1.1.1", ["1.1.1.1", "2.2.2.2", "1.1.1.1"]),
        ({"x-real-ip": "010.000.000.001"}, "", ["10.0.0.1"]),
    ],
)
def test_addresses(headers: dict[str, str], peer: str, expected: list[str]) -> None:
    assert source_ips(headers, peer) == expected


def test_a_long_agent_is_cut() -> None:
    assert user_agent("a" * 1024) == "a" * 1024
    assert user_agent("a" * 1025) == "a" * 1024 + "...TRUNCATED"
    assert user_agent("é" * 513) == "é" * 512 + "...TRUNCATED"
