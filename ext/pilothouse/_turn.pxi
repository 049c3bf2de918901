# Long walks let other threads run now and then. Included by each module that walks values; it leans on
# nothing there.

cdef enum:
    TURN = 2000  # steps between two looks at what the interpreter has to do: a fraction of a millisecond

cdef int steps = 0
cdef object pause = eval("lambda: None")  # in Python, not compiled: a call is where the interpreter looks


cdef inline int step() except -1:
    """Count one value of a long walk; now and then hand over to a thread that waits, and let the walk be
    stopped.

    To release the interpreter and to take it again at once would not do: the waiting thread wakes up too
    late, and starts to wait anew each time.
    """
    global steps
    steps += 1
    if steps >= TURN:
        steps = 0
        pause()
    return 0
