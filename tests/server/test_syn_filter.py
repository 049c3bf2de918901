import socket
import sys

import pytest

from pilothouse.server.syn_filter import drop_new_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs packet filters of sockets")


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_has_connected_stays_and_no_other_comes(family: socket.AddressFamily, address: str) -> None:
    listening = socket.create_server((address, 0), family=family)
    port = listening.getsockname()[1]
    with listening, socket.create_connection((address, port), 5) as early:
        assert drop_new_connections(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection((address, port), 0.2)
        with listening.accept()[0] as accepted:
            early.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_other_sockets_have_no_filter() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not drop_new_connections(one)
