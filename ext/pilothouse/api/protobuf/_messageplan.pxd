from libc.stdint cimport uint64_t

cdef enum Kind:            # of a value
    TEXT
    INTEGER
    BOOLEAN
    DOUBLE
    BYTES
    STRUCT
    ITEMS                  # a list that is a message of its own
    TIME
    MICROTIME
    QUANTITY
    INT_OR_STRING
    SCHEMA_OR_BOOL
    SCHEMA_OR_SCHEMAS
    SCHEMA_OR_TEXTS
    RAW                    # JSON with Go's escapes
    JSON
    NO_MESSAGE             # a map within a list or a map, which protobuf does not have

cdef enum Shape:           # of a member
    ONE
    REPEATED
    MAP
    EMBEDDED               # a message with further members of the same object

cdef class Value:
    cdef Kind kind
    cdef Message message   # of a STRUCT, of the schemas of a SCHEMA_OR_...
    cdef Value items       # of ITEMS

cdef class Member:
    cdef uint64_t number
    cdef str name          # in JSON
    cdef Shape shape
    cdef Value value       # of one item of a list or map
    cdef bytes absent      # what is written if it is absent

cdef class Message:
    cdef object type
    cdef dict table        # number -> Field, or the table of an embedded message
    cdef list members      # in the order of their numbers; None until `build`
    cdef list numbered     # number -> member, or None

    cdef int build(self) except -1

cdef Message plan_of(object type)
