cdef enum:
    SHORT = 65536                     # bytes; bodies up to here are neither counted nor held up

cdef class Incoming:
    # of a long body
    cdef Py_ssize_t received          # bytes of the body that have come
    cdef Py_ssize_t expected          # bytes that the body may have, once it is known to be a long one
    cdef Py_ssize_t room              # of these, the bytes that `Bodies` has room for
    cdef Py_ssize_t mark              # bytes that had come
    cdef double marked                # at this time
    cdef object payer                 # whose part of the room it has; None = all have the same
    cdef bint awaits_room             # nothing is read until there is room
    # of a head, or of a short body
    cdef Py_ssize_t kept              # what `Unfinished` counts

    cdef regulate(self)
    cdef refuse_slow(self)
    cdef double since(self)
    cdef shed(self)

cdef class Bodies:
    cdef object loop
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t reserved
    cdef readonly long long refused   # bodies that came too slowly
    cdef dict admitted                # bodies, in the order in which they were let in
    cdef dict waiting                 # those that need room, in order of arrival
    cdef dict held                    # bytes of each payer
    cdef bint full                    # somebody waits for the budget
    cdef set crowded                  # payers who wait for their own part of it
    cdef object timer

    cdef enter(self, Incoming body)
    cdef leave(self, Incoming body)
    cdef book(self, Incoming body, Py_ssize_t size)
    cdef admit(self)
    cdef Incoming neediest(self)
    cdef grant(self, Incoming body)
    cdef bint safe(self, Py_ssize_t budget, Py_ssize_t held, payer)

cdef class Unfinished:
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t held
    cdef readonly long long refused
    cdef set messages

    cdef note(self, Incoming message, Py_ssize_t size)
    cdef shed(self, double at)
