cdef enum:
    SHORT = 65536                     # bytes; bodies up to this size are neither counted nor delayed

cdef class Incoming:
    # for a long body
    cdef Py_ssize_t received          # bytes of the body that have arrived
    cdef Py_ssize_t expected          # length of the body or its limit, once it is known to be long
    cdef Py_ssize_t granted           # bytes of these that `Bodies` has granted
    cdef Py_ssize_t mark              # bytes that had arrived
    cdef double marked                # at this time
    cdef object payer                 # whose share of the budget it uses; None = all bodies share one
    cdef bint awaits_grant            # reading is paused until bytes are granted
    # for a head, or for a short body
    cdef Py_ssize_t kept              # bytes counted by `Unfinished`

    cdef regulate(self)
    cdef refuse_slow(self)
    cdef double since(self)
    cdef shed(self)

cdef class Bodies:
    cdef object loop, clock
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t reserved
    cdef readonly long long refused   # bodies refused because they arrived too slowly
    cdef dict admitted                # admitted bodies, in the order of admission
    cdef dict waiting                 # bodies that wait for a grant, in order of arrival
    cdef dict held                    # bytes granted per payer
    cdef bint full                    # a body waits for the whole budget
    cdef set crowded                  # payers whose bodies wait for their share
    cdef object timer

    cdef enter(self, Incoming body)
    cdef leave(self, Incoming body)
    cdef book(self, Incoming body, Py_ssize_t size)
    cdef admit(self)
    cdef Incoming neediest(self)
    cdef grant(self, Incoming body)
    cdef bint safe(self, Py_ssize_t budget, Py_ssize_t held, payer)

cdef class Unfinished:
    cdef object clock
    cdef Py_ssize_t budget
    cdef readonly Py_ssize_t held
    cdef readonly long long refused
    cdef set messages

    cdef note(self, Incoming message, Py_ssize_t size)
    cdef shed(self, double at)
