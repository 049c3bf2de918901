"""Makes random UUIDs (version 4, RFC 9562, 5.4).

PERF: every request and every object gets one. The system is asked for the random bytes of many at once.
"""

from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New

import os

cdef enum:
    SIZE = 16
    POOL = 256 * SIZE       # bytes that the system is asked for at once

cdef const char *DIGITS = b"0123456789abcdef"

cdef bytes pool = b""       # random bytes, of which those from `used` on have not been used
cdef Py_ssize_t used = 0


def new_uuid():
    """A random UUID as text, in lower case."""
    global pool, used
    cdef const unsigned char *random
    cdef unsigned char byte
    cdef unsigned char *out
    cdef int i, at = 0
    if used + SIZE > len(pool):
        pool, used = os.urandom(POOL), 0
    random = <const unsigned char*>(<char*>pool) + used
    used += SIZE
    text = PyUnicode_New(36, 127)
    out = <unsigned char*>PyUnicode_1BYTE_DATA(text)
    for i in range(SIZE):
        if i == 4 or i == 6 or i == 8 or i == 10:
            out[at] = b"-"
            at += 1
        byte = random[i]
        if i == 6:
            byte = (byte & 0x0F) | 0x40     # the version
        elif i == 8:
            byte = (byte & 0x3F) | 0x80     # the variant
        out[at] = DIGITS[byte >> 4]
        out[at + 1] = DIGITS[byte & 0x0F]
        at += 2
    return text


def forget():
    """Drop the random bytes that are left: a process and its child must not use the same ones."""
    global pool, used
    pool, used = b"", 0


os.register_at_fork(after_in_child=forget)
