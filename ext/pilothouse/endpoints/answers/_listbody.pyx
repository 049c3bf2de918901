"""Bodies of lists: joins served objects slice by slice, plain or as a gzip stream.

An item in a list of a built-in kind is `{` followed by the object from its `"metadata"` on; items of custom
resources keep kind and apiVersion.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from pilothouse.api._gzip cimport Block, Member, compress, use
from pilothouse.api._json cimport Encoded, newest
from pilothouse.server._pump cimport Readable, Reader

cdef const char* OPENING = ",{"       # what stands before an object in a list

cdef enum:                # no products: Cython fails on them when overflow is checked
    SLICE = 245_760       # bytes of a body built at a time; with the last object it still fits one write
    RAW_SLICE = 262_144   # bytes compressed at a time
    INLINE = 32_768       # bytes; up to this size compression is faster than waking a thread
    MOST = 2048           # objects in a slice of a compressed list
    PASSES = 2            # a kept block that did not fit this many times in a row is replaced


cdef class ListBody(Readable):
    """A list's body: built slice by slice when it is iterated, or read into buffers, as often as one likes.

    `prefix` ends with `"items":[`, `suffix` starts with `]`. With `typed`, items keep kind and apiVersion.
    """

    cdef bytes prefix, suffix
    cdef list entries
    cdef bint typed
    cdef readonly Py_ssize_t size

    def __init__(self, bytes prefix not None, list entries not None, bytes suffix not None, bint typed=False):
        cdef Py_ssize_t i
        cdef Py_ssize_t n = PyList_GET_SIZE(entries)
        cdef Encoded entry
        self.prefix = prefix
        self.suffix = suffix
        self.entries = entries
        self.typed = typed
        self.size = PyBytes_GET_SIZE(prefix) + PyBytes_GET_SIZE(suffix) + (n - 1 if n else 0)
        for i in range(n):
            entry = <Encoded?>entries[i]
            self.size += self.length(entry)

    cdef inline Py_ssize_t length(self, Encoded entry) noexcept:
        return PyBytes_GET_SIZE(entry.value) if self.typed else PyBytes_GET_SIZE(entry.value) - entry.head + 1

    cdef bytes build(self, Py_ssize_t start, Py_ssize_t end, Py_ssize_t room):
        """The items [start, end) with prefix or suffix at the ends of the list;
        `room` is their size in bytes."""
        cdef bytes out = PyBytes_FromStringAndSize(NULL, room)
        cdef char* o = PyBytes_AS_STRING(out)
        cdef Py_ssize_t i, size
        cdef Encoded entry
        if start == 0:
            size = PyBytes_GET_SIZE(self.prefix)
            memcpy(o, PyBytes_AS_STRING(self.prefix), size)
            o += size
        for i in range(start, end):
            entry = <Encoded>PyList_GET_ITEM(self.entries, i)
            if i:
                o[0] = c','
                o += 1
            if self.typed:
                size = PyBytes_GET_SIZE(entry.value)
                memcpy(o, PyBytes_AS_STRING(entry.value), size)
            else:
                size = PyBytes_GET_SIZE(entry.value) - entry.head + 1
                o[0] = c'{'
                memcpy(o + 1, PyBytes_AS_STRING(entry.value) + entry.head, size - 1)
            o += size
        if end == PyList_GET_SIZE(self.entries):
            memcpy(o, PyBytes_AS_STRING(self.suffix), PyBytes_GET_SIZE(self.suffix))
        return out

    def __iter__(self):
        cdef Py_ssize_t n = PyList_GET_SIZE(self.entries)
        cdef Py_ssize_t start = 0
        cdef Py_ssize_t end = 0
        cdef Py_ssize_t room = PyBytes_GET_SIZE(self.prefix)
        while True:
            while end < n and (room < SLICE or end == start):
                room += self.length(<Encoded>PyList_GET_ITEM(self.entries, end)) + (1 if end else 0)
                end += 1
            if end == n:
                yield self.build(start, end, room + PyBytes_GET_SIZE(self.suffix))
                return
            yield self.build(start, end, room)
            start = end
            room = 0

    cdef Reader reader(self):
        cdef ListReader reader = ListReader.__new__(ListReader)
        reader.body = self
        reader.left = self.size
        reader.at = PyBytes_AS_STRING(self.prefix)
        reader.rest = PyBytes_GET_SIZE(self.prefix)
        return reader

    def gzip(self):
        """The body as a gzip stream: the parts of a `Packing`."""
        return Packing(self)


cdef class ListReader(Reader):
    """Reads a list's body: its prefix, the objects with what stands before each, its suffix."""

    cdef ListBody body
    cdef const char* at               # what is read next,
    cdef Py_ssize_t rest              # and how many bytes of it are left
    cdef Py_ssize_t index             # of the next object
    cdef bint opened                  # what stands before it was read

    cdef void read(self, char* to, Py_ssize_t size) noexcept:
        cdef Py_ssize_t part
        self.left -= size
        while True:
            part = min(size, self.rest)
            memcpy(to, self.at, part)
            self.at += part
            self.rest -= part
            size -= part
            if size == 0:
                return
            to += part
            self.go_on()

    cdef void go_on(self) noexcept:
        """Go on with what follows in the list."""
        cdef ListBody body = self.body
        cdef Encoded entry
        if self.index == PyList_GET_SIZE(body.entries):
            self.at = PyBytes_AS_STRING(body.suffix)
            self.rest = PyBytes_GET_SIZE(body.suffix)
        elif not self.opened:
            self.opened = True
            self.at = OPENING if self.index else OPENING + 1
            self.rest = (1 if self.index else 0) + (0 if body.typed else 1)
        else:
            entry = <Encoded>PyList_GET_ITEM(body.entries, self.index)
            self.at = PyBytes_AS_STRING(entry.value) + (0 if body.typed else entry.head)
            self.rest = PyBytes_GET_SIZE(entry.value) - (0 if body.typed else entry.head)
            self.opened = False
            self.index += 1


cdef class Packing:
    """The gzip stream of a list's body in parts, assembled from blocks that the objects keep.

    A part is bytes, or, if much must be compressed first, a call without arguments that does so and returns
    the bytes. The call is meant for a thread, since it mostly runs without the GIL, and must be done before
    the next part is taken.
    """

    cdef ListBody body
    cdef Member member
    cdef Py_ssize_t start, end        # the objects of the current part
    cdef list blocks                  # their blocks; None for those to be compressed
    cdef bint begun

    def __cinit__(self, ListBody body not None):
        self.body = body
        self.member = Member()

    def __iter__(self):
        return self

    def __next__(self):
        if self.begun and self.end == PyList_GET_SIZE(self.body.entries):
            raise StopIteration
        return self if self.gather() > INLINE else self()

    cdef Py_ssize_t gather(self) except -1:
        """Take the next objects and their blocks where these fit; returns the number of bytes to compress."""
        cdef ListBody body = self.body
        cdef Py_ssize_t n = PyList_GET_SIZE(body.entries)
        cdef Py_ssize_t ready = 0, raw = 0
        cdef Encoded entry
        cdef Block block
        self.start = self.end
        self.blocks = []
        while self.end < n and ready < SLICE and raw < RAW_SLICE and self.end - self.start < MOST:
            entry = <Encoded>PyList_GET_ITEM(body.entries, self.end)
            block = self.fitting(self.end)
            if block is not None:
                ready += PyBytes_GET_SIZE(block.data)
            else:
                raw += body.length(entry)
            self.blocks.append(block)
            self.end += 1
        return raw

    cdef Block fitting(self, Py_ssize_t i):
        """The block of object `i`, if it has one that fits after the object before it."""
        cdef Encoded entry = <Encoded>PyList_GET_ITEM(self.body.entries, i)
        cdef Block block
        if entry.block == NULL:
            return None
        block = <Block>entry.block
        if block.after != self.before(i) or block.typed != self.body.typed:
            return None
        use(block)
        return block

    cdef inline uint64_t before(self, Py_ssize_t i) noexcept:
        """The number of the object before this one, 0 for none."""
        return (<Encoded>PyList_GET_ITEM(self.body.entries, i - 1)).number if i else 0

    def __call__(self):
        """Compress what is needed and return the bytes of the current part."""
        cdef list out = []
        cdef Block block
        cdef Py_ssize_t i = self.start
        if not self.begun:
            self.begun = True
            out.append(self.member.begin(self.body.prefix))
        for block in self.blocks:
            if block is None:
                block = self.fitting(i)  # another list has compressed it meanwhile
            if block is None:
                block = self.make(i)
                self.offer(i, block)
            i += 1
            self.member.add(block)
            out.append(block.data)
        if self.end == PyList_GET_SIZE(self.body.entries):
            out.append(self.member.end(self.body.suffix))
        return b"".join(out)

    cdef Block make(self, Py_ssize_t i):
        """Compress object `i` with reference to the one before it."""
        cdef Encoded entry = <Encoded>PyList_GET_ITEM(self.body.entries, i)
        cdef Encoded before
        cdef bytes lead = (b"," if i else b"") + (b"" if self.body.typed else b"{")
        cdef bytes text = lead + self.text_of(entry)
        if not i:
            return compress(text, b"")
        before = <Encoded>PyList_GET_ITEM(self.body.entries, i - 1)
        return compress(text, self.text_of(before))

    cdef inline object text_of(self, Encoded entry):
        return entry.value if self.body.typed else memoryview(entry.value)[entry.head:]

    cdef offer(self, Py_ssize_t i, Block block):
        """Let object `i` keep its block, unless it has one that still fits in lists of other objects."""
        cdef Encoded entry = <Encoded>PyList_GET_ITEM(self.body.entries, i)
        cdef Block old
        block.after = self.before(i)
        block.typed = self.body.typed
        block.made = newest()
        if entry.block != NULL:
            old = <Block>entry.block
            old.passed += 1
            if old.passed < PASSES and block.after <= old.made:
                return
        self.member.keep(block, &entry.block)
