# The marks of JSON, 64 bytes at a time. Included by _delta.pyx.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    enum { BLOCK_SIZE = 64 };
    typedef struct { uint64_t opens, closes, commas; } Block;
    typedef struct { const char *text; Py_ssize_t at, end; uint64_t inside; int escaped; } Marks;
    #define ALWAYS static inline __attribute__((always_inline))

    #ifdef __SSE2__
    #include <emmintrin.h>

    static inline uint64_t alike_in(__m128i one, __m128i other) {
        return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(one, other));
    }

    static inline uint64_t places_of(char mark, __m128i a, __m128i b, __m128i c, __m128i d) {
        __m128i all = _mm_set1_epi8(mark);
        uint64_t low = alike_in(a, all) | alike_in(b, all) << 16;
        return low | (alike_in(c, all) | alike_in(d, all) << 16) << 32;
    }

    ALWAYS void marks_of(
        const char *text, uint64_t *quotes, uint64_t *slashes, Block *block, int commas
    ) {
        const __m128i *at = (const __m128i *)text, bit = _mm_set1_epi8(0x20), slash = _mm_set1_epi8(0x5c);
        __m128i a = _mm_loadu_si128(at), b = _mm_loadu_si128(at + 1);
        __m128i c = _mm_loadu_si128(at + 2), d = _mm_loadu_si128(at + 3);
        __m128i some = _mm_or_si128(_mm_cmpeq_epi8(a, slash), _mm_cmpeq_epi8(b, slash));
        some = _mm_or_si128(some, _mm_or_si128(_mm_cmpeq_epi8(c, slash), _mm_cmpeq_epi8(d, slash)));
        *slashes = _mm_movemask_epi8(some) ? places_of(0x5c, a, b, c, d) : 0;
        *quotes = places_of('"', a, b, c, d);
        block->commas = commas ? places_of(',', a, b, c, d) : 0;
        a = _mm_or_si128(a, bit), b = _mm_or_si128(b, bit);
        c = _mm_or_si128(c, bit), d = _mm_or_si128(d, bit);
        block->opens = places_of('{', a, b, c, d);
        block->closes = places_of('}', a, b, c, d);
    }
    #else
    ALWAYS void marks_of(
        const char *text, uint64_t *quotes, uint64_t *slashes, Block *block, int commas
    ) {
        *quotes = *slashes = block->opens = block->closes = block->commas = 0;
        for (int at = 0; at < 64; at++) {
            char one = text[at];
            uint64_t bracket = (one | 0x26) == 0x7f, second = one >> 1 & 1;
            *quotes |= (uint64_t)(one == '"') << at;
            *slashes |= (uint64_t)(one == 0x5c) << at;
            block->opens |= (bracket & second) << at;
            block->closes |= (bracket & ~second) << at;
            block->commas |= (uint64_t)(one == ',') << at;
        }
    }
    #endif

    /* The quotes that no backslash takes the meaning of. */
    static uint64_t unescaped(Marks *walk, uint64_t quotes, uint64_t slashes) {
        uint64_t escaped = walk->escaped;
        walk->escaped = 0;
        while (slashes) {
            uint64_t one = slashes & -slashes;
            slashes ^= one;
            if (escaped & one)
                continue;
            if (one >> 63)
                walk->escaped = 1;
            escaped |= one << 1;
        }
        return quotes & ~escaped;
    }

    ALWAYS void next_marks(Marks *walk, Block *found, int commas) {
        char rest[BLOCK_SIZE];
        const char *block = walk->text + walk->at;
        uint64_t inside, slashes;
        if (walk->end - walk->at < BLOCK_SIZE) {
            memset(rest, ' ', BLOCK_SIZE);
            memcpy(rest, block, walk->end - walk->at);
            block = rest;
        }
        marks_of(block, &inside, &slashes, found, commas);
        if (slashes || walk->escaped)
            inside = unescaped(walk, inside, slashes);
        inside ^= inside << 1; /* from each quote up to the next one */
        inside ^= inside << 2;
        inside ^= inside << 4;
        inside ^= inside << 8;
        inside ^= inside << 16;
        inside ^= inside << 32;
        inside ^= walk->inside;
        walk->inside = -(inside >> 63);
        walk->at += BLOCK_SIZE;
        found->opens &= ~inside;
        found->closes &= ~inside;
        found->commas &= ~inside;
    }

    ALWAYS void next_block(Marks *walk, Block *found) { next_marks(walk, found, 1); }
    ALWAYS void next_brackets(Marks *walk, Block *found) { next_marks(walk, found, 0); }
    static inline uint64_t word_at(const char *text) { /* eight bytes, the first one the lowest */
        uint64_t word;
        memcpy(&word, text, sizeof(word));
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }
    static inline int lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }
    static inline int highest_bit(uint64_t bits) { return 63 - __builtin_clzll(bits); }
    static inline int count_bits(uint64_t bits) { /* where there are many of them */
        bits -= bits >> 1 & 0x5555555555555555;
        bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
        return ((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
    }
    static inline int bits_in(uint64_t bits) {
        int count = 0;
        for (; bits; bits &= bits - 1)
            count++;
        return count;
    }
    """
    ctypedef struct Block:            # bit by bit, where brackets and commas are
        uint64_t opens, closes, commas
    ctypedef struct Marks:            # a walk over a text, from a place outside of strings
        const char* text
        Py_ssize_t at, end            # the next block of 64 bytes, and the end of the text
        uint64_t inside               # all bits, where the block before ends in a string
        bint escaped                  # the block before ends with a backslash that counts
    # Where brackets and commas are in the next block, or brackets alone, those in strings excepted.
    void next_block(Marks* walk, Block* found) noexcept nogil
    void next_brackets(Marks* walk, Block* found) noexcept nogil
    uint64_t word_at(const char* text) noexcept nogil
    int lowest_bit(uint64_t bits) noexcept nogil
    int highest_bit(uint64_t bits) noexcept nogil
    int bits_in(uint64_t bits) noexcept nogil
    int count_bits(uint64_t bits) noexcept nogil


@cython.overflowcheck(False)          # bits are shifted out
cdef Py_ssize_t after_brackets(
    const char* text, Py_ssize_t at, Py_ssize_t end, Py_ssize_t depth
) noexcept nogil:
    """The offset behind the bracket that closes `depth` ones that are open, -1 when there is none."""
    cdef Marks walk = Marks(text, at, end, 0, False)
    cdef Block found
    cdef uint64_t brackets, bit
    cdef Py_ssize_t block, closes
    while walk.at < end:
        block = walk.at
        next_brackets(&walk, &found)
        closes = count_bits(found.closes)
        if closes < depth:                 # none of them closes what is open
            depth += count_bits(found.opens) - closes
            continue
        brackets = found.opens | found.closes
        while brackets:
            bit = brackets & -brackets
            brackets ^= bit
            if found.opens & bit:
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return block + lowest_bit(bit) + 1
    return -1
