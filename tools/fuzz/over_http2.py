"""Sends the requests of attacks, which are written as HTTP/1.1, over HTTP/2."""

import ssl
from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack


class Encoder(hpack.Encoder):
    """An encoder without Huffman codes, which take hpack a minute for a megabyte."""

    def encode(self, headers: Any, huffman: bool = False) -> bytes:  # noqa: FBT002 -- as in hpack
        return bytes(super().encode(headers, huffman=False))


LEFT_OUT = frozenset(("host", "connection", "transfer-encoding", "upgrade", "keep-alive"))


def fields_of(head: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a head of HTTP/1.1."""
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    out = [(b":method", method), (b":scheme", b"https"), (b":path", target), (b":authority", b"a")]
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().decode("latin-1").lower() not in LEFT_OUT:
            out.append((name.strip().lower(), value.strip()))
    return out


def exchange(sock: ssl.SSLSocket, request: bytes) -> tuple[int, bytes]:
    """Send a request on a new connection as fast as its windows allow;
    the status and the body of the answer."""
    head, _, body = request.partition(b"\r\n\r\n")
    config = h2.config.H2Configuration(
        client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    client = h2.connection.H2Connection(config)
    client.encoder = Encoder()
    client.initiate_connection()
    client.increment_flow_control_window(1 << 24)
    stream = client.get_next_available_stream_id()
    client.send_headers(stream, fields_of(head), end_stream=not body)
    status, answer, ended, at = 0, b"", False, 0
    while not ended:
        while body and at < len(body) and (room := client.local_flow_control_window(stream)) > 0:
            part = body[at : at + min(room, client.max_outbound_frame_size)]
            at += len(part)
            client.send_data(stream, part, end_stream=at == len(body))
        sock.sendall(client.data_to_send())
        data = sock.recv(1 << 20)
        if not data:
            raise ConnectionError("no answer")
        for event in client.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                answer += event.data
                client.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.StreamEnded):
                ended = True
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                ended, body = True, b""
    return status, answer
