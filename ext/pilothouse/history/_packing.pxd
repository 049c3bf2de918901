from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef Py_ssize_t unpacked_size(const uint8_t* packed, Py_ssize_t size) noexcept nogil
cdef bint expand(const uint8_t* packed, Py_ssize_t size, uint8_t* out, Py_ssize_t room) noexcept nogil


cdef enum:
    STRETCH = 256                     # bytes that are compared at once, where many are the same

cdef bytes raw(bytes data)


cdef inline Py_ssize_t alike(const uint8_t* one, const uint8_t* other, Py_ssize_t most) noexcept nogil:
    """How many bytes are the same, of at most `most`."""
    cdef Py_ssize_t at = 0
    cdef uint64_t a, b
    cdef bint long_ = True
    while at + 8 <= most:
        if long_ and at >= 32:
            while at + STRETCH <= most and memcmp(one + at, other + at, STRETCH) == 0:
                at += STRETCH
            long_ = False
            continue
        memcpy(&a, one + at, 8)
        memcpy(&b, other + at, 8)
        if a != b:
            break
        at += 8
    while at < most and one[at] == other[at]:
        at += 1
    return at
