from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

cdef class Block:
    cdef readonly bytes data          # raw deflate, ended at a byte's border
    cdef readonly Py_ssize_t size     # bytes of the text that it stands for
    cdef uint32_t crc, shift          # of that text; x^(8 size), by which a CRC moves past it
    cdef uint64_t after               # the number of the object that has to stand before it, 0 for none
    cdef uint64_t made                # the number of the newest object when it was made
    cdef bint typed
    cdef int passed                   # times in a row that it did not fit
    cdef uint64_t used                # the number of the newest list when one used it last
    cdef PyObject** slot              # where its object points to it
    cdef PyObject* older
    cdef PyObject* newer

cdef class Member:
    cdef uint32_t crc                 # of what is in it so far
    cdef uint64_t size                # bytes of that
    cdef uint64_t number              # of the list that it is made for

    cdef bytes begin(self, bytes text)
    cdef void add(self, Block block) noexcept
    cdef bytes end(self, bytes text)
    cdef bint keep(self, Block block, PyObject** slot) except -1

cdef Block compress(bytes text, object before)
cdef void use(Block block) noexcept
cdef void drop(PyObject* kept) noexcept
