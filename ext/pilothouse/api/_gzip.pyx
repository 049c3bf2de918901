"""Assembles gzip streams from blocks that were compressed earlier (RFC 1951, RFC 1952).

A block is raw deflate that ends on a byte boundary, so blocks can be concatenated; the stream's CRC is
combined from theirs. A block may refer to the text of the object before it, which compresses lists of similar
objects well; it then fits only after that version of that object. Kept blocks belong to their object and are
dropped with it. All of them share a budget, from which the least recently used ones are evicted.

A list that is longer than the budget keeps its first blocks for lists to come. Its others pass: they are kept
for a moment in a quarter of the budget, so that lists of the same objects that are made at the same time
compress each object once.
"""

import zlib

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF

cdef enum:
    OVERHEAD = 160                    # bytes of a kept block besides its data

cdef int LEVEL = 3                    # for similar neighbours smaller than level 1, and no slower
cdef uint32_t POLYNOMIAL = 0xEDB88320U  # of CRC-32; the coefficient of x^0 is the highest bit
cdef uint32_t ONE = 0x80000000U

cdef Py_ssize_t budget = 64 * 1024 * 1024
cdef Py_ssize_t count = 0             # kept blocks
cdef Queue lasting                    # blocks for lists to come
cdef Queue passing                    # blocks for lists that are made now
cdef uint64_t lists = 0


# --- CRC-32 as a remainder of polynomials over GF(2)

@cython.overflowcheck(False)          # bits are shifted out
cdef uint32_t times(uint32_t a, uint32_t b) noexcept nogil:
    """The product of two remainders. A CRC times x^(8n) is the CRC after n bytes of zeros."""
    cdef uint32_t out = 0
    cdef int _
    for _ in range(32):
        out ^= b & (0U - (a >> 31))
        a <<= 1
        b = (b >> 1) ^ (POLYNOMIAL & (0U - (b & 1)))
    return out


cdef uint32_t shift_by(uint64_t n) noexcept nogil:
    """x^(8n), by squaring."""
    cdef uint32_t out = ONE
    cdef uint32_t power = ONE >> 8
    while n:
        if n & 1:
            out = times(out, power)
        power = times(power, power)
        n >>= 1
    return out


def combine(uint32_t first, uint32_t second, uint64_t size):
    """The CRC-32 of two concatenated texts from theirs; `size` is the length of the second in bytes."""
    return times(first, shift_by(size)) ^ second


# --- streams

cdef Block compress(bytes text, object before):
    """Compress a text that follows another one (b"" for none); releases the GIL meanwhile."""
    cdef Block block = Block()
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -15, zdict=before)
    block.data = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    block.size = PyBytes_GET_SIZE(text)
    block.crc = zlib.crc32(text)
    block.shift = shift_by(block.size)
    return block


cdef bytes stored(bytes text, bint last):
    """Text in deflate's uncompressed blocks."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef Py_ssize_t at = 0
    cdef list out = []
    while True:
        part = text[at:at + 0xffff]
        at += len(part)
        out += (b"\x01" if last and at == size else b"\x00", len(part).to_bytes(2, "little"),
                (len(part) ^ 0xffff).to_bytes(2, "little"), part)
        if at == size:
            return b"".join(out)


cdef class Member:
    """A gzip stream under construction: the bytes of begin(), the data of each added block, and end()."""

    def __cinit__(self):
        global lists
        lists += 1
        self.number = lists

    cdef bytes begin(self, bytes text):
        """The header, without a time, and a first text."""
        self.crc = zlib.crc32(text)
        self.size = PyBytes_GET_SIZE(text)
        return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff" + stored(text, False)

    cdef void add(self, Block block) noexcept:
        """Update the stream's CRC and size for a block."""
        self.crc = times(block.shift, self.crc) ^ block.crc
        self.size += block.size

    cdef bytes end(self, bytes text):
        """A last text and the trailer."""
        self.crc = zlib.crc32(text, self.crc)
        self.size += PyBytes_GET_SIZE(text)
        size = (self.size & 0xffffffff).to_bytes(4, "little")
        return stored(text, True) + self.crc.to_bytes(4, "little") + size

    cdef bint keep(self, Block block, PyObject** slot) except -1:
        """Keep a block with its object, for a moment if the budget is full of blocks that this list uses;
        false if there is no room."""
        global count
        cdef Py_ssize_t weight = PyBytes_GET_SIZE(block.data) + OVERHEAD
        if slot[0] != NULL:
            drop(slot[0])
        block.queue = &lasting
        while lasting.held + weight > budget - budget // 4:
            if lasting.oldest == NULL or (<Block>lasting.oldest).used >= self.number:
                block.queue = &passing
                break
            drop(lasting.oldest)
        while block.queue == &passing and passing.held + weight > budget // 4:
            if passing.oldest == NULL:
                return False
            drop(passing.oldest)
        Py_INCREF(block)
        block.slot = slot
        slot[0] = <PyObject*>block
        block.queue.held += weight
        count += 1
        append(block)
        return True


# --- blocks that are kept

cdef class Block:
    """The compressed form of an object in a list; it can be used again after the same object."""


cdef void drop(PyObject* kept) noexcept:
    """Remove a block from its object."""
    global count
    cdef Block block = <Block>kept
    unlink(block)
    block.queue.held -= PyBytes_GET_SIZE(block.data) + OVERHEAD
    count -= 1
    block.slot[0] = NULL
    block.slot = NULL
    Py_DECREF(block)


cdef void use(Block block) noexcept:
    """Mark a kept block as used by a list."""
    block.passed = 0
    if <PyObject*>block != block.queue.newest:
        unlink(block)
        append(block)
    block.used = lists


cdef void append(Block block) noexcept:
    cdef Queue* queue = block.queue
    block.used = lists
    block.older = queue.newest
    block.newer = NULL
    if queue.newest == NULL:
        queue.oldest = <PyObject*>block
    else:
        (<Block>queue.newest).newer = <PyObject*>block
    queue.newest = <PyObject*>block


cdef void unlink(Block block) noexcept:
    cdef Queue* queue = block.queue
    if block.older == NULL:
        queue.oldest = block.newer
    else:
        (<Block>block.older).newer = block.newer
    if block.newer == NULL:
        queue.newest = block.older
    else:
        (<Block>block.newer).older = block.older
    block.older = block.newer = NULL


def kept():
    """Number of kept blocks, and their bytes."""
    return count, lasting.held + passing.held


def set_budget(Py_ssize_t size):
    """Set the budget for kept blocks in bytes and return the old one; evicts blocks that exceed it."""
    global budget
    old = budget
    budget = size
    while lasting.held > budget - budget // 4:
        drop(lasting.oldest)
    while passing.held > budget // 4:
        drop(passing.oldest)
    return old
