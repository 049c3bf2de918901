from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef class Encoded:
    cdef readonly bytes value
    cdef readonly Py_ssize_t head
    cdef uint64_t number              # sequence number of this object; never reused
    cdef PyObject* block              # its block in compressed lists, see _gzip

cdef uint64_t newest() noexcept
cdef bytes splice_at(bytes value, long long revision, Py_ssize_t* head)
cdef bytes revised(bytes served, Py_ssize_t head, long long revision)
cdef bytes revised_text(const char* s, Py_ssize_t n, long long revision, Py_ssize_t* head)
cdef dict read_labels(bytes value, Py_ssize_t head)
cdef str read_text(bytes value, Py_ssize_t head, list path)
cdef bytes frame(const char* kind, bytes value)
cdef bint contains(bytes value, bytes text) noexcept
cdef const char* seek(
    const char* s, Py_ssize_t n, const char* text, Py_ssize_t size, Py_ssize_t at
) noexcept nogil
cdef Py_ssize_t skip_value(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t skip_space(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t skip_string(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil
