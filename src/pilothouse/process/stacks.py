"""How much stack a thread has: CPython and recursive steps need more
for deeply nested values than some C libraries give.

musl gives 128 KB, glibc what the shell's limit says. CPython 3.13 frees nested lists up to 10,000 calls deep,
which takes some 600 KB; a thread that runs out of its stack ends the process.
"""

import threading

STACK = 8 << 20
"""Bytes: glibc's own with the usual limit. They are addresses; only those that are used become memory."""


def deepen() -> None:
    """Give every thread that this process starts from now on at least STACK bytes."""
    before = threading.stack_size(STACK)
    if before > STACK:
        threading.stack_size(before)
