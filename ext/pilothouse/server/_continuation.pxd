cdef class Continuation:
    cdef object coro       # None once it has ended, or goes on as a task
    cdef object awaited    # the future or the task, None once there is an outcome
    cdef object context
    cdef object value
    cdef object error      # why there is no value
    cdef list callbacks
    cdef bint wants_cancel
    cdef public object _asyncio_future_blocking

    cdef end(self, value, error)
