# Decodes the Huffman code of HPACK (RFC 7541, appendix B), half a byte at a time.
#
# The code is canonical, so the lengths of its codes determine it. A state is an inner node of its tree.

cdef tuple LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6,
    6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6,
    6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
)

cdef enum:
    EMITS = 1                         # a step completes a symbol
    FAILS = 2                         # no symbol begins like this

cdef struct Step:
    unsigned char state, symbol, flags

cdef Step STEPS[256][16]
cdef bint ENDS[256]                   # a text may end in this state: what is left is padding


cdef build_steps():
    """Fill STEPS and ENDS from the lengths of the codes."""
    cdef int code = 0, before = 0, state, half, bit, flags, symbol
    tree = [[None, None]]             # of inner nodes; a child is a number of another one, or ~symbol
    for length, value in sorted((length, value) for value, length in enumerate(LENGTHS)):
        code <<= length - before
        before = length
        node = 0
        for shift in range(length - 1, 0, -1):
            side = code >> shift & 1
            if tree[node][side] is None:
                tree[node][side] = len(tree)
                tree.append([None, None])
            node = tree[node][side]
        tree[node][code & 1] = ~value
        code += 1
    for state in range(len(tree)):
        for half in range(16):
            node, flags, symbol = state, 0, 0
            for bit in (8, 4, 2, 1):
                node = tree[node][1 if half & bit else 0]
                if node < 0:
                    if ~node == 256:
                        flags |= FAILS  # the end of a text is never written
                        node = 0
                        break
                    flags |= EMITS
                    symbol = ~node
                    node = 0
            STEPS[state][half] = Step(node, symbol, flags)
    node = 0
    for bit in range(8):              # at most seven bits, all of them ones
        ENDS[node] = True
        node = tree[node][1]


build_steps()


cdef Py_ssize_t huffman_decode(const unsigned char* data, Py_ssize_t size, unsigned char* out) noexcept:
    """Decode `size` bytes into `out`, which has room for 8/5 of them; returns the length or -1."""
    cdef Py_ssize_t i, used = 0
    cdef unsigned char state = 0
    cdef Step step
    for i in range(size):
        step = STEPS[state][data[i] >> 4]
        if step.flags & EMITS:
            out[used] = step.symbol
            used += 1
        if step.flags & FAILS:
            return -1
        step = STEPS[step.state][data[i] & 15]
        if step.flags & EMITS:
            out[used] = step.symbol
            used += 1
        if step.flags & FAILS:
            return -1
        state = step.state
    return used if ENDS[state] else -1
