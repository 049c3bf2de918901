cdef class Requirement:
    cdef readonly str key
    cdef readonly str op
    cdef readonly tuple values
    cdef object among  # the values, for a term that lists many
    cdef int code
    cdef object single
    cdef long long number

    cdef bint holds(self, dict labels) except -1


cdef class Selector:
    cdef readonly tuple labels
    cdef readonly tuple fields
    cdef readonly tuple equalities
    cdef readonly dict field_equalities
    cdef readonly bint nothing
    cdef readonly bint empty

    cpdef bint matches_labels(self, dict labels) except -1
    cpdef bint matches_fields(self, dict fields) except -1
