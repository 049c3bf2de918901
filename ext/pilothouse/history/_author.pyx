"""Reads the bytes that a store keeps of the author of a write (author.py says what they are)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize

cdef enum:
    HEAD = 9                          # bytes before the audit ID
    UUID = 36                         # characters of one, which 16 bytes tell
    MINUTE = 60000                    # milliseconds

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const char* PyUnicode_DATA(object text)


def parts(bytes data not None):
    """The milliseconds, the audit ID and the bytes of the Author. ValueError: it is too short."""
    cdef const unsigned char* text = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), end, at
    cdef unsigned long long time_ms = 0
    if size < HEAD:
        raise ValueError("not the author of a change")
    for at in range(8):
        time_ms = time_ms << 8 | text[at]
    end = min(HEAD + text[8], size)
    return (
        time_ms,
        (<const char*>text)[HEAD:end].decode("utf-8", "replace"),
        PyBytes_FromStringAndSize(<const char*>text + end, size - end),
    )


def minute_of_status(bytes data not None, dict known not None):
    """The minute since 1970 in which an author has written a status, -1 where it was something else.

    known: by the bytes of an Author, whether it is one of a status. None for one that is not in it.
    ValueError: it is too short.
    """
    cdef const unsigned char* text = <const unsigned char*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), end, at
    cdef unsigned long long time_ms = 0
    if size < HEAD:
        raise ValueError("not the author of a change")
    end = min(HEAD + text[8], size)
    found = known.get(PyBytes_FromStringAndSize(<const char*>text + end, size - end))
    if found is None:
        return None
    if not found:
        return -1
    for at in range(8):
        time_ms = time_ms << 8 | text[at]
    return time_ms // MINUTE


cdef inline int digit(char one) noexcept nogil:
    """The value of a digit of a UUID, -1 of another character."""
    if c'0' <= one <= c'9':
        return one - c'0'
    return one - c'a' + 10 if c'a' <= one <= c'f' else -1


def packed_id(str audit_id not None):
    """An audit ID as it is kept: 16 bytes of a UUID, else its text, None without one."""
    cdef const char* text
    cdef char* made
    cdef Py_ssize_t at = 0
    cdef int number, high, low
    if not audit_id:
        return None
    if len(audit_id) != UUID or not PyUnicode_IS_COMPACT_ASCII(audit_id):
        return audit_id
    text = PyUnicode_DATA(audit_id)
    out = PyByteArray_FromStringAndSize(NULL, 16)
    made = PyByteArray_AS_STRING(out)
    for number in range(16):
        if number in (4, 6, 8, 10):
            if text[at] != c'-':
                return audit_id
            at += 1
        high, low = digit(text[at]), digit(text[at + 1])
        if high < 0 or low < 0:
            return audit_id
        made[number] = <char>(high << 4 | low)
        at += 2
    return out
