# Reads clocks of the operating system without a call into Python.

from posix.time cimport CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec


cdef inline double now(clock) except? -1.0:
    """Seconds by `clock`, a function; None stands for the monotonic clock, `time.monotonic`."""
    cdef timespec ts
    if clock is not None:
        return clock()
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <double>ts.tv_sec + <double>ts.tv_nsec * 1e-9


cdef inline double processor_time() noexcept:
    """Seconds of processor time that this thread has used."""
    cdef timespec ts
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts)
    return <double>ts.tv_sec + <double>ts.tv_nsec * 1e-9
