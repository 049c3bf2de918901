# Lets other threads run during long walks. Included by each module that walks values;
# it uses nothing of them.

cdef enum:
    TURN = 2000  # steps between two calls of `pause`: a fraction of a millisecond

cdef int steps = 0
# A Python function, not a compiled one: the interpreter switches threads at its calls.
cdef object pause = eval("lambda: None")


cdef inline int step() except -1:
    """Count one value of a long walk; from time to time lets another thread run,
    and lets signals stop the walk.

    Releasing the GIL and taking it again at once would not suffice: the waiting thread would wake up too late
    and start waiting again each time.
    """
    global steps
    steps += 1
    if steps >= TURN:
        steps = 0
        pause()
    return 0
