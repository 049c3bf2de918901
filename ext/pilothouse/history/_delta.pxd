cdef struct Rewind
cdef struct Piece

cdef class Rewinding:
    cdef Rewind* way
    cdef Piece* pieces                # where the deltas are
    cdef char* unpacked
    cdef Py_ssize_t most, room        # deltas and bytes for which there is room

    cdef bint make(self, bytes new, list deltas) except -1
    cdef Py_ssize_t unpack(self, list packed) except -1
    cdef int make_room(self, Py_ssize_t count, Py_ssize_t size) except -1
    cdef bytes served(self, bytes new, list deltas, long long revision, Py_ssize_t* head)
