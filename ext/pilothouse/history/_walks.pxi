# Walks over texts of compact JSON. Included by _delta.pyx.

cdef enum:
    WORD = 8

cdef uint64_t ONES = 0x0101010101010101, HIGH = 0x8080808080808080, QUOTES = 0x2222222222222222


@cython.overflowcheck(False)          # words wrap around
cdef inline Py_ssize_t after_string(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """The offset behind the string whose opening quote is at `at`, -1 when it does not end."""
    cdef Py_ssize_t first = at + 1, back
    cdef uint64_t word
    at = first
    while at < end:
        if at + WORD <= end:    # most strings are short: a call of memchr would cost more
            word = word_at(text + at) ^ QUOTES
            word = (word - ONES) & ~word & HIGH
            if not word:
                at += WORD
                continue
            at += lowest_bit(word) >> 3
        while at < end and text[at] != c'"':
            at += 1
        if at == end:
            return -1
        at += 1
        back = at - 2
        while back >= first and text[back] == c'\\':
            back -= 1
        if (at - back) % 2 == 0:
            return at
    return -1


cdef Py_ssize_t after_value(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """The offset behind the value that begins at `at`, -1 when it does not end.

    Brackets are counted, not matched.
    """
    if at >= end:
        return -1
    if text[at] == c'"':
        return after_string(text, at, end)
    if text[at] == c'{' or text[at] == c'[':
        return after_brackets(text, at, end, 0)
    while at < end and not SPECIAL[<unsigned char>text[at]]:
        at += 1
    return at if at < end else -1


cdef inline bint skip_member(Piece* walk, Member* member) noexcept nogil:
    """The member at which a walk is; the walk goes behind it.

    False when there is none, or the text is not compact.
    """
    if not (read_name(walk, member) and read_end(walk, member)):
        return False
    walk.at = member.end + (walk.text[member.end] == c',')
    return True


cdef bint read_name(Piece* walk, Member* member) noexcept nogil:
    cdef Py_ssize_t colon
    if walk.at >= walk.end or walk.text[walk.at] != c'"':
        return False
    colon = after_string(walk.text, walk.at, walk.end)
    if colon < 0 or colon >= walk.end or walk.text[colon] != c':':
        return False
    member.name = walk.text + walk.at
    member.size = colon - walk.at
    member.value = colon + 1
    return True


cdef bint read_end(Piece* walk, Member* member) noexcept nogil:
    member.end = after_value(walk.text, member.value, walk.end)
    return member.value < member.end < walk.end


cdef inline bint goes_on(Piece* walk, char bracket) noexcept nogil:
    """Go behind the comma after a value; False at the bracket that ends the list or object."""
    if walk.at < walk.end and walk.text[walk.at] == c',':
        walk.at += 1
    return walk.at < walk.end and walk.text[walk.at] != bracket


cdef Py_ssize_t* elements(Piece* walk, Py_ssize_t* count) noexcept nogil:
    """Where the elements of a list begin and end, in pairs; the walk goes behind the list.

    NULL without memory, or when the text is not compact.
    """
    cdef Py_ssize_t room = 16, size = 0, end
    cdef Py_ssize_t* grown
    cdef Py_ssize_t* found = <Py_ssize_t*>malloc(room * sizeof(Py_ssize_t))
    walk.at += 1
    while found != NULL and goes_on(walk, c']'):
        end = after_value(walk.text, walk.at, walk.end)
        if end <= walk.at or end >= walk.end:
            free(found)
            return NULL
        if size + 2 > room:
            room *= 2
            grown = <Py_ssize_t*>realloc(found, room * sizeof(Py_ssize_t))
            if grown == NULL:
                free(found)
                return NULL
            found = grown
        found[size], found[size + 1] = walk.at, end
        size += 2
        walk.at = end
    if found != NULL and walk.at >= walk.end:
        free(found)
        return NULL
    walk.at += 1
    count[0] = size // 2
    return found


cdef inline Piece among(Piece* walk, Py_ssize_t* bounds, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The text of the elements of a slice, with the commas between them."""
    if first == last:
        return Piece(walk.text, 0, 0)
    return Piece(walk.text, bounds[2 * first], bounds[2 * last - 1])
