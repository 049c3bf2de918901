"""The client of an informer, in a process of its own: sends one request, throws away what comes, and tells
how that ended.

usage: python benchmarks/informer.py PORT TOKEN ACCEPT ENCODING TARGET

It connects, and asks when a line comes on its standard input. A request that is refused with 429 is sent
again after Retry-After, as client-go does. A watch is read up to the bookmark that ends the objects it
begins with, a list up to its end. One line of JSON on standard output tells the status, the bytes, the
seconds, the refusals, and what went wrong.
"""

import json
import socket
import ssl
import sys
import time

SILENCE = 60.0
"""Seconds without a byte after which the server is given up."""
END_OF_STATE = b"k8s.io/initial-events-end"


class Informer:
    """One client; a connection for each try."""

    def __init__(self, port: int, token: str, accept: str, encoding: str, target: str) -> None:
        self.port, self.watches = port, "watch=" in target
        self.context = ssl._create_unverified_context()
        lines = [f"GET {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Accept: {accept}"]
        if encoding:
            lines.append(f"Accept-Encoding: {encoding}")
        self.request = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        self.buffer = memoryview(bytearray(1 << 16))

    def connect(self) -> ssl.SSLSocket:
        """Open a connection with TLS."""
        raw = socket.create_connection(("127.0.0.1", self.port), SILENCE)
        return self.context.wrap_socket(raw, server_hostname="localhost")

    def ask(self, sock: ssl.SSLSocket) -> tuple[int, dict[str, str], int]:
        """Send the request and read the answer: status, headers, bytes of the body.

        Raises EOFError if it is not complete.
        """
        sock.sendall(self.request)
        head = b""
        while b"\r\n\r\n" not in head:
            got = sock.recv_into(self.buffer)
            if not got:
                raise EOFError("the connection ended within the head")
            head += self.buffer[:got]
        first, _, rest = head.partition(b"\r\n\r\n")
        lines = first.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        status = int(lines[0].split()[1])
        size, tail = len(rest), rest
        begins = self.watches and status == 200  # it goes on after the bookmark
        while not begins or END_OF_STATE not in tail:
            got = sock.recv_into(self.buffer)
            if not got:
                break
            size += got
            tail = tail[-100:] + self.buffer[:got]
        length = headers.get("content-length")
        complete = (
            END_OF_STATE in tail if begins else size == int(length) if length else tail.endswith(b"0\r\n\r\n")
        )
        if not complete:
            raise EOFError(f"the body ended after {size} bytes")
        return status, headers, size

    def run(self) -> dict[str, object]:
        """Ask until the answer is no refusal."""
        sock: ssl.SSLSocket | None = self.connect()
        sys.stdin.readline()
        begun, refused = time.monotonic(), 0
        try:
            while True:
                with sock or self.connect() as connection:
                    status, headers, size = self.ask(connection)
                sock = None
                if status != 429:
                    break
                refused += 1
                time.sleep(float(headers["retry-after"]))
            error = ""
        except (OSError, EOFError, KeyError) as failure:
            status, headers, size, error = 0, {}, 0, repr(failure)
        packed = headers.get("content-encoding", "")
        seconds = time.monotonic() - begun
        return {
            "status": status,
            "bytes": size,
            "seconds": seconds,
            "refused": refused,
            "packed": packed,
            "error": error,
        }


if __name__ == "__main__":
    port, token, accept, encoding, target = sys.argv[1:]
    print(json.dumps(Informer(int(port), token, accept, encoding, target).run()))
