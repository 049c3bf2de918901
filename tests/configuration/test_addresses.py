import socket

import pytest

from pilothouse.configuration import options
from pilothouse.configuration.addresses import advertised, reachable, url


@pytest.mark.parametrize(
    ("flags", "address"),
    [
        (["--advertise-address=192.0.2.7"], "192.0.2.7"),
        (["--bind-address=192.0.2.8"], "192.0.2.8"),
        (["--bind-address=192.0.2.8", "--advertise-address=192.0.2.7"], "192.0.2.7"),
    ],
)
def test_the_address_that_is_told_to_others(flags: list[str], address: str) -> None:
    assert advertised(options.parse(flags).serving) == address


@pytest.mark.parametrize("bound", ["0.0.0.0", "127.0.0.1", "::"])
def test_an_address_is_found_where_none_is_given(bound: str) -> None:
    found = advertised(options.parse([f"--bind-address={bound}"]).serving)
    assert socket.inet_aton(found) != bytes(4)


def test_where_the_server_listens() -> None:
    assert reachable(options.parse(["--bind-address=127.0.0.1"]).serving) == "127.0.0.1"
    assert reachable(options.parse(["--advertise-address=192.0.2.7"]).serving) == "192.0.2.7"
    assert url("192.0.2.7", 1) == "https://192.0.2.7:1" and url("2001:db8::1", 2) == "https://[2001:db8::1]:2"
