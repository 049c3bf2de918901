# The marks of JSON, 64 bytes at a time. Included by _delta.pyx.

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __SSE2__
    #include <emmintrin.h>

    static inline uint64_t bits_of(__m128i found, int part) {
        return (uint64_t)_mm_movemask_epi8(found) << 16 * part;
    }

    static inline void marks_of(const char *text, uint64_t *quotes, uint64_t *slashes, uint64_t *marks) {
        uint64_t quote = 0, slash = 0, mark = 0;
        for (int part = 0; part < 4; part++) {
            __m128i some = _mm_loadu_si128((const __m128i *)(text + 16 * part));
            __m128i bracket = _mm_cmpeq_epi8(_mm_or_si128(some, _mm_set1_epi8(0x26)), _mm_set1_epi8(0x7f));
            __m128i comma = _mm_cmpeq_epi8(some, _mm_set1_epi8(','));
            quote |= bits_of(_mm_cmpeq_epi8(some, _mm_set1_epi8('"')), part);
            slash |= bits_of(_mm_cmpeq_epi8(some, _mm_set1_epi8(0x5c)), part);
            mark |= bits_of(_mm_or_si128(bracket, comma), part);
        }
        *quotes = quote, *slashes = slash, *marks = mark;
    }
    #else
    static inline void marks_of(const char *text, uint64_t *quotes, uint64_t *slashes, uint64_t *marks) {
        uint64_t quote = 0, slash = 0, mark = 0;
        for (int at = 0; at < 64; at++) {
            char one = text[at];
            quote |= (uint64_t)(one == '"') << at;
            slash |= (uint64_t)(one == 0x5c) << at;
            mark |= (uint64_t)(one == ',' || (one | 0x26) == 0x7f) << at;
        }
        *quotes = quote, *slashes = slash, *marks = mark;
    }
    #endif
    static inline int lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
    """
    # Bit by bit, where quotes are, backslashes, and commas and brackets. Letters that a text of JSON has in
    # strings alone may be among the latter.
    void marks_of(const char* text, uint64_t* quotes, uint64_t* slashes, uint64_t* marks) noexcept nogil
    int lowest_bit(uint64_t bits) noexcept nogil

cdef enum:
    BLOCK = 64                        # bytes of which a word has the marks

cdef struct Marks:                    # a walk over a text, from a place outside of strings
    const char* text
    Py_ssize_t at, end                # the next block, and the end of the text
    uint64_t inside                   # all bits, where the block before ends in a string
    bint escaped                      # the block before ends with a backslash that counts


@cython.overflowcheck(False)          # bits are shifted out
cdef uint64_t unescaped(Marks* walk, uint64_t quotes, uint64_t slashes) noexcept nogil:
    """The quotes that no backslash takes the meaning of."""
    cdef uint64_t escaped = walk.escaped, one
    walk.escaped = False
    while slashes:
        one = slashes & -slashes
        slashes ^= one
        if escaped & one:
            continue
        if one >> 63:
            walk.escaped = True
        escaped |= one << 1
    return quotes & ~escaped


@cython.overflowcheck(False)          # bits are shifted out
cdef inline uint64_t next_marks(Marks* walk) noexcept nogil:
    """Where commas and brackets are in the next block, those in strings excepted."""
    cdef char[BLOCK] rest
    cdef const char* block = walk.text + walk.at
    cdef uint64_t inside, slashes, marks
    if walk.end - walk.at < BLOCK:
        memset(rest, c' ', BLOCK)
        memcpy(rest, block, walk.end - walk.at)
        block = rest
    marks_of(block, &inside, &slashes, &marks)
    if slashes or walk.escaped:
        inside = unescaped(walk, inside, slashes)
    inside ^= inside << 1             # from each quote up to the next one
    inside ^= inside << 2
    inside ^= inside << 4
    inside ^= inside << 8
    inside ^= inside << 16
    inside ^= inside << 32
    inside ^= walk.inside
    walk.inside = -(inside >> 63)
    walk.at += BLOCK
    return marks & ~inside


cdef Py_ssize_t after_brackets(
    const char* text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t depth
) noexcept nogil:
    """The offset behind the bracket that closes `depth` ones that are open, -1 when there is none."""
    cdef Marks walk = Marks(text, at, end, 0, False)
    cdef uint64_t marks
    cdef Py_ssize_t block
    while walk.at < end:
        block = walk.at
        marks = next_marks(&walk)
        while marks:
            at = block + lowest_bit(marks)
            marks &= marks - 1
            if text[at] == c'{' or text[at] == c'[':
                depth += 1
            elif text[at] == c'}' or text[at] == c']':
                depth -= 1
                if depth == 0:
                    return at + 1
    return -1
