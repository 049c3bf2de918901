# Turns of connections; see `_turns.pyx`. An engine has a `Turn` for each connection, used in this order:
#
#     begin(line, &turn)               where bytes come in, or work goes on
#     turn.left -= units               for each piece of work; while turn.left > 0 there may be another one
#     end(line, &turn)                 before the callback returns
#     wait(line, &turn, self)          if there is work left: stop reading; `take_turn` is called later
#     resume(&turn)                    the first thing in `take_turn`, before begin()

cdef enum:                            # units, each about a nanosecond of an ordinary processor:
    TURN = 1_000_000                  # what one connection may do in a turn of the loop,
    ROUND = 2_000_000                 # all connections of a server object together,
    FREE = 32_000                     # and each of them in any case; so much is not counted

cdef struct Turn:
    long long left                    # units that may still be used
    long long had                     # units that might be used when the callback began
    long long epoch                   # of the line, when `left` was set
    bint waits                        # stands in the line

cdef class Line:
    cdef object loop
    cdef object takers                # those that wait for their turn, first come first
    cdef long long quantum            # units that a connection gets when it begins
    cdef readonly long long epoch     # grows whenever connections get their units anew
    cdef readonly long long used      # units that were counted in this turn of the loop
    cdef readonly long long most      # the most that were, in any
    cdef readonly long long deferred  # times that a connection had to wait
    cdef bint scheduled
    cdef int requests                 # pipelined requests answered in this turn of the loop
    cdef double ends                  # when it ends for them, in processor time of the thread

    cdef charge(self, long long units)
    cdef put(self, taker)
    cdef schedule(self)
    cdef bint may_answer(self)
    cdef bint goes_on(self, double most)

cdef class Taker:
    cdef readonly Line line
    cdef object go_on
    cdef Turn turn


cdef inline void begin(Line line, Turn* turn) noexcept:
    """A callback begins: give the connection its units, unless it has used some in this turn of the loop."""
    if turn.epoch != line.epoch:
        turn.epoch = line.epoch
        turn.left = line.quantum
    turn.had = turn.left


cdef inline int end(Line line, Turn* turn) except -1:
    """The callback ends: count what was used, unless it is as little as an ordinary request takes."""
    if turn.had - turn.left > FREE:
        line.charge(turn.had - turn.left)
    else:
        turn.left = turn.had
    return 0


cdef inline int wait(Line line, Turn* turn, taker) except -1:
    """Put a connection into the line; its `take_turn` is called when its turn has come."""
    if not turn.waits:
        turn.waits = True
        line.put(taker)
    return 0


cdef inline void resume(Turn* turn) noexcept:
    """The connection's turn has come."""
    turn.waits = False
