from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

cdef struct Queue:                    # kept blocks
    PyObject* oldest                  # the least recently used one
    PyObject* newest
    Py_ssize_t held                   # bytes, with their overhead

cdef class Block:
    cdef readonly bytes data          # raw deflate that ends on a byte boundary
    cdef readonly Py_ssize_t size     # bytes of the uncompressed text
    cdef uint32_t crc, shift          # CRC of that text; x^(8 size), which shifts a CRC past the text
    cdef uint64_t after               # number of the object that must precede it, 0 for none
    cdef uint64_t made                # number of the newest object when it was made
    cdef bint typed
    cdef int passed                   # lists in a row in which it did not fit
    cdef uint64_t used                # number of the newest list when it was last used
    cdef PyObject** slot              # the pointer to it in its object
    cdef Queue* queue                 # the queue that it stands in, and its neighbours there
    cdef PyObject* older
    cdef PyObject* newer

cdef class Member:
    cdef uint32_t crc                 # of the content so far
    cdef uint64_t size                # bytes of the content so far
    cdef uint64_t number              # number of the list that it is made for

    cdef bytes begin(self, bytes text)
    cdef void add(self, Block block) noexcept
    cdef bytes end(self, bytes text)
    cdef bint keep(self, Block block, PyObject** slot) except -1

cdef Block compress(bytes text, object before)
cdef void use(Block block) noexcept
cdef void drop(PyObject* kept) noexcept
