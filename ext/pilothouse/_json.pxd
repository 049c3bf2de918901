cdef class Encoded:
    cdef readonly bytes value
    cdef readonly Py_ssize_t head

cdef bytes splice_at(bytes value, long long revision, Py_ssize_t* head)
cdef bytes revised(bytes served, Py_ssize_t head, long long revision)
cdef dict read_labels(bytes value, Py_ssize_t head)
cdef str read_text(bytes value, Py_ssize_t head, list path)
cdef bytes frame(const char* kind, bytes value)
