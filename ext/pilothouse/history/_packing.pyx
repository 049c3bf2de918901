"""Packs values for the history's file: blocks as LZ4 has them, behind a dictionary.

The first byte tells the form:

    0    the value follows as it is
    1    the length of the value follows, seven bits in a byte, the lowest first; then a block

A block is a row of sequences. Each is a token, bytes of the value, and a match: how far back bytes begin that
are the same, in two bytes. The token's high half counts the bytes, its low half those of the match, less 4;
where a half is 15, the bytes behind it are added up to the first that is not 255. The last sequence has no
match. A match may begin in the dictionary, which is before the value.

Deflate makes values a third shorter. To set it up takes ten times as long as all of this.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from pilothouse.history.dictionary import DICTIONARY

cdef enum:
    RAW = 0                           # the forms
    BLOCK = 1
    SHORT = 32                        # bytes below which a value stays as it is
    BITS = 12                         # of a hash
    FEW = 9                           # of a hash of a short value
    SMALL = 2048                      # bytes up to which a value is short
    LEAST = 4                         # bytes of a match
    FARTHEST = 65535                  # bytes by which one goes back
    NO_MATCH = 12                     # bytes at the end in which no match begins
    NO_PART = 5                       # bytes at the end that belong to no match
    LONG = 65536                      # bytes from which on the interpreter lock is released
    COPIED = 16                       # bytes that are copied at once

cdef bytes words = DICTIONARY
cdef const uint8_t* WORDS = <const uint8_t*>PyBytes_AS_STRING(words)
cdef Py_ssize_t KNOWN = PyBytes_GET_SIZE(words)
cdef uint32_t[1 << BITS] PLACES  # by the hash of four bytes: the offset behind their last place in the words


@cython.overflowcheck(False)          # bits are shifted out
cdef inline uint32_t hash_of(const uint8_t* text) noexcept nogil:
    """The hash of four bytes, of which the highest bits are taken."""
    cdef uint32_t word
    memcpy(&word, text, 4)
    return word * 2654435761U


cdef void learn() noexcept nogil:
    cdef Py_ssize_t at
    for at in range(KNOWN - 3):
        PLACES[hash_of(WORDS + at) >> (32 - BITS)] = <uint32_t>(at + 1)


learn()


# --- packing

cdef inline Py_ssize_t put_more(uint8_t* out, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Put what a half of a token has no room for."""
    while size >= 255:
        out[at] = 255
        at += 1
        size -= 255
    out[at] = <uint8_t>size
    return at + 1


cdef Py_ssize_t put_sequence(
    uint8_t* out, Py_ssize_t at, const uint8_t* text, Py_ssize_t size, Py_ssize_t back, Py_ssize_t match
) noexcept nogil:
    """Put bytes and a match of `match` bytes less 4; below zero, there is none."""
    cdef Py_ssize_t token = at
    at += 1
    out[token] = <uint8_t>(min(size, 15) << 4 | min(max(match, 0), 15))
    if size >= 15:
        at = put_more(out, at, size - 15)
    memcpy(out + at, text, size)
    at += size
    if match >= 0:
        out[at] = back & 255
        out[at + 1] = <uint8_t>(back >> 8)
        at += 2
        if match >= 15:
            at = put_more(out, at, match - 15)
    return at


cdef Py_ssize_t put_block(uint8_t* out, Py_ssize_t put, const uint8_t* text, Py_ssize_t end) noexcept nogil:
    """Put the block of a text that follows the dictionary."""
    cdef uint32_t[1 << BITS] places
    cdef Py_ssize_t at = KNOWN, begun = KNOWN, found, size, misses = 0
    cdef uint32_t hash, here, there
    cdef int shift = 32 - (FEW if end - KNOWN <= SMALL else BITS)
    memset(places, 0, sizeof(uint32_t) << (32 - shift))
    while at < end - NO_MATCH:
        hash = hash_of(text + at)
        found = <Py_ssize_t>(places[hash >> shift] or PLACES[hash >> (32 - BITS)]) - 1
        places[hash >> shift] = <uint32_t>(at + 1)
        if found >= 0 and at - found <= FARTHEST:
            memcpy(&here, text + at, 4)
            memcpy(&there, text + found, 4)
            if here == there:
                size = LEAST + alike(text + found + LEAST, text + at + LEAST, end - NO_PART - at - LEAST)
                while at > begun and found > 0 and text[at - 1] == text[found - 1]:
                    at -= 1
                    found -= 1
                    size += 1
                put = put_sequence(out, put, text + begun, at - begun, at - found, size - LEAST)
                at += size
                begun = at
                places[hash_of(text + at - 2) >> shift] = <uint32_t>(at - 1)
                misses = 0
                continue
        misses += 1
        at += 1 + (misses >> 6)       # what has no matches is gone over in longer steps
    return put_sequence(out, put, text + begun, end - begun, 0, -1)


cdef Py_ssize_t put_value(uint8_t* out, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Put the form, the length and the block of a text that follows the dictionary."""
    cdef Py_ssize_t put = 1, left = size
    out[0] = BLOCK
    while left >= 128:
        out[put] = left & 127 | 128
        left >>= 7
        put += 1
    out[put] = <uint8_t>left
    return put_block(out, put + 1, text, KNOWN + size)


def pack(bytes data not None):
    """The bytes to keep of a value."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), packed = size + 1
    cdef uint8_t* text = NULL
    try:
        if SHORT <= size < <Py_ssize_t>1 << 31:
            text = <uint8_t*>malloc(KNOWN + size + size + size // 255 + 32)
            if text == NULL:
                raise MemoryError
            memcpy(text, WORDS, KNOWN)
            memcpy(text + KNOWN, PyBytes_AS_STRING(data), size)
            if size < LONG:
                packed = put_value(text + KNOWN + size, text, size)
            else:
                with nogil:
                    packed = put_value(text + KNOWN + size, text, size)
        if packed <= size:
            return PyBytes_FromStringAndSize(<char*>text + KNOWN + size, packed)
        return raw(data)
    finally:
        free(text)


cdef bytes raw(bytes data):
    """The bytes to keep of a value that stays as it is."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, size + 1)
    PyBytes_AS_STRING(made)[0] = RAW
    memcpy(PyBytes_AS_STRING(made) + 1, PyBytes_AS_STRING(data), size)
    return made


# --- unpacking

cdef Py_ssize_t unpacked_size(const uint8_t* packed, Py_ssize_t size) noexcept nogil:
    """The bytes of a value, -1 where nothing was packed so."""
    cdef Py_ssize_t at = 1, found = 0
    cdef int shift = 0
    if size < 1 or packed[0] > BLOCK:
        return -1
    if packed[0] == RAW:
        return size - 1
    while at < size and shift < 35:
        found |= <Py_ssize_t>(packed[at] & 127) << shift
        if packed[at] < 128:
            return found if found <= 255 * size else -1
        shift += 7
        at += 1
    return -1


cdef inline void copy_short(
    uint8_t* out, Py_ssize_t room, const uint8_t* text, Py_ssize_t left, Py_ssize_t size
) noexcept nogil:
    """Copy some bytes, of `left` that can be read, to where `room` can be written."""
    if size <= COPIED and left >= COPIED and room >= COPIED:
        memcpy(out, text, COPIED)     # PERF: two instructions, where most copies are short
    else:
        memcpy(out, text, size)


cdef inline void put_match(
    uint8_t* out, Py_ssize_t made, Py_ssize_t room, Py_ssize_t back, Py_ssize_t size
) noexcept nogil:
    """Put bytes that were there before, or are in the dictionary."""
    cdef Py_ssize_t at = 0, known = back - made
    if size <= back and known <= 0:
        copy_short(out + made, room - made, out + made - back, back, size)
        return
    if known >= size:
        copy_short(out + made, room - made, WORDS + KNOWN - known, known, size)
        return
    if known > 0:
        memcpy(out + made, WORDS + KNOWN - known, known)
        at = known
    while at < size:                  # they may overlap
        out[made + at] = out[made + at - back]
        at += 1


cdef bint expand(const uint8_t* packed, Py_ssize_t end, uint8_t* out, Py_ssize_t room) noexcept nogil:
    """Put a value of `room` bytes, as unpacked_size() tells; False where it is damaged."""
    cdef Py_ssize_t at = 1, made = 0, size, back
    cdef uint8_t token, more
    if packed[0] == RAW:
        memcpy(out, packed + 1, room)
        return True
    while packed[at] >= 128:
        at += 1
    at += 1
    while at < end:
        token = packed[at]
        at += 1
        size = token >> 4
        more = 255 if size == 15 else 0
        while more == 255:            # what a half of a token has no room for
            if at >= end:
                return False
            more = packed[at]
            at += 1
            size += more
        if size > end - at or size > room - made:
            return False
        if size:
            copy_short(out + made, room - made, packed + at, end - at, size)
            at += size
            made += size
        if at == end:
            return made == room
        if end - at < 2:
            return False
        back = packed[at] | <Py_ssize_t>packed[at + 1] << 8
        at += 2
        size = (token & 15) + LEAST
        more = 255 if token & 15 == 15 else 0
        while more == 255:
            if at >= end:
                return False
            more = packed[at]
            at += 1
            size += more
        if back == 0 or back > made + KNOWN or size > room - made:
            return False
        put_match(out, made, room, back, size)
        made += size
    return False


def unpack(bytes data not None):
    """The value that was kept; ValueError for bytes that pack() does not make."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef const uint8_t* packed = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t room = unpacked_size(packed, size)
    cdef bytes made
    cdef uint8_t* out
    cdef bint whole
    if room < 0:
        if size and packed[0] == BLOCK:
            raise ValueError("the value in the history is damaged: its length is not right")
        raise ValueError(f"the value in the history has the unknown form {data[:1]!r}")
    made = PyBytes_FromStringAndSize(NULL, room)
    out = <uint8_t*>PyBytes_AS_STRING(made)
    if room < LONG:
        whole = expand(packed, size, out, room)
    else:
        with nogil:
            whole = expand(packed, size, out, room)
    if not whole:
        raise ValueError("the value in the history is damaged")
    return made
