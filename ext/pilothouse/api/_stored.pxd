cdef class FieldSet:
    cdef bytes text
    cdef dict fields
    cdef object fits

cdef FieldSet shared_set(object fields)
