"""Drops attempts to connect to a listening socket that is about to be closed (Linux).

The system completes TCP handshakes by itself and resets connections that nobody has accepted when the socket
is closed. A packet filter that drops SYN segments ends that: what has begun is completed and accepted, and a
client whose SYN is dropped sends the SYN again after a second,
when the system refuses it or another socket of the port answers.
"""

import ctypes
import socket
import struct
import sys

SO_ATTACH_FILTER = 26
"""Linux, asm-generic/socket.h; the module socket has no name for it."""

TCP_FLAGS = 13
"""Offset of the flags in a TCP header (RFC 9293, 3.1),
with which the packets of a TCP socket begin for its filter."""

SYN = 0x02

_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
"""Instructions of the classic packet filter (linux/filter.h)."""

_PROGRAM = b"".join(
    struct.pack("HBBI", *instruction)  # code, lines to skip if true, lines to skip if false, operand
    for instruction in (
        (_LOAD_BYTE, 0, 0, TCP_FLAGS),
        (_AND, 0, 0, SYN),
        (_JUMP_IF_EQUAL, 0, 1, SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
)


def drop_new_connections(listening: socket.socket) -> bool:
    """Drop every SYN to a socket from now on; whether the system can.
    It stays so until all copies of the socket are closed."""
    if sys.platform != "linux" or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    sock_fprog = struct.pack("HP", len(_PROGRAM) // struct.calcsize("HBBI"), ctypes.addressof(program))
    try:
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog)
    except OSError:
        return False
    return True
