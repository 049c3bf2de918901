"""The difference of two texts of one object, and the way back by such differences, without parsing the texts.

A delta is a JSON array of steps. They tell the old value and the new one, so it can be followed both ways:

    ["=", path, old, new]             the value at `path` is another one
    ["-", path, old]                  the member at `path` is gone
    ["+", path, new]                  the member at `path` is new
    ["~", path, first, olds, news]    in the list at `path`, elements from `first` on stand in place of others

A path is an array of member names and indexes. pilothouse.history.delta reads and follows deltas.

The texts are compact JSON, as the stores keep it. Members are found in any order. A member that is far from
its old place among the others is told as gone and new; the steps of members that are gone come first.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from pilothouse.api._json cimport revised_text
from pilothouse.history._packing cimport alike, expand, unpacked_size

cdef enum:
    AHEAD = 16                        # members among which one is looked for that is not in its place
    DEEPEST = 64                      # levels; what is below them is told as a whole
    TOO_LONG = 1                      # the delta is
    BROKEN = 2                        # a text is not compact JSON, or there is no memory

cdef struct Step:                     # where the walk is: a member or an element, and what it is in
    Step* parent
    const char* name                  # the member's name with its quotes, NULL for an element
    Py_ssize_t size                   # bytes of the name, or the index of the element

cdef struct Text:
    char* start
    Py_ssize_t size, room

cdef struct Level:                    # an object or list: where it is, a member of it, and its index
    Py_ssize_t at, member, index

cdef struct Delta:
    Text gone, other                  # the steps of members that are gone; the other steps
    Py_ssize_t most                   # bytes that they may have; beyond them the walk ends
    Py_ssize_t until                  # the offset in the old text up to which the texts are the same
    bint over                         # they are the same to the end
    Level levels[DEEPEST]             # objects and lists in which the same part ends, the outer first
    int level, deepest                # the one that the walk enters next; how many there are
    int failed                        # TOO_LONG or BROKEN, 0 while all is well

cdef struct Piece:                    # a part of a text: where it begins, and where it or the text ends
    const char* text
    Py_ssize_t at, end

cdef struct Member:
    const char* name
    Py_ssize_t size, value, end       # bytes of the name; where the value begins and ends

cdef object NOTHING = object()        # stands for the value of what is not there

cdef char[256] SPECIAL                # the characters at which a number or word ends
memset(SPECIAL, 0, 256)
SPECIAL[c'"'] = SPECIAL[c'{'] = SPECIAL[c'}'] = SPECIAL[c'['] = SPECIAL[c']'] = SPECIAL[c','] = 1


include "_marks.pxi"
include "_walks.pxi"
include "_rewind.pxi"
include "_blame.pxi"


# --- the text of a delta

cdef void add(Delta* delta, Text* text, const char* piece, Py_ssize_t size) noexcept nogil:
    cdef char* grown
    cdef Py_ssize_t room
    if delta.failed:
        return
    if delta.gone.size + delta.other.size + size > delta.most:
        delta.failed = TOO_LONG
        return
    if text.size + size > text.room:
        room = 2 * (text.size + size) + 256
        grown = <char*>realloc(text.start, room)
        if grown == NULL:
            delta.failed = BROKEN
            return
        text.start, text.room = grown, room
    memcpy(text.start + text.size, piece, size)
    text.size += size


cdef inline void add_piece(Delta* delta, Text* text, Piece piece) noexcept nogil:
    add(delta, text, b",", 1)
    add(delta, text, piece.text + piece.at, piece.end - piece.at)


cdef void add_path(Delta* delta, Text* text, Step* at) noexcept nogil:
    cdef char digits[24]
    if at == NULL:
        return
    add_path(delta, text, at.parent)
    if at.parent != NULL:
        add(delta, text, b",", 1)
    if at.name != NULL:
        add(delta, text, at.name, at.size)
    else:
        add(delta, text, digits, write_index(digits, at.size))


cdef void begin(Delta* delta, Text* text, const char* kind, Step* at) noexcept nogil:
    """Begin a step; `kind` is its first element, with a comma before and behind."""
    add(delta, text, kind if text.size else kind + 1, 6 if text.size else 5)
    add(delta, text, b"[", 1)
    add_path(delta, text, at)
    add(delta, text, b"]", 1)


cdef void tell_gone(Delta* delta, Step* at, Piece old) noexcept nogil:
    begin(delta, &delta.gone, b',["-",', at)
    add_piece(delta, &delta.gone, old)
    add(delta, &delta.gone, b"]", 1)


cdef void tell_new(Delta* delta, Step* at, Piece new) noexcept nogil:
    begin(delta, &delta.other, b',["+",', at)
    add_piece(delta, &delta.other, new)
    add(delta, &delta.other, b"]", 1)


cdef void tell_changed(Delta* delta, Step* at, Piece old, Piece new) noexcept nogil:
    begin(delta, &delta.other, b',["=",', at)
    add_piece(delta, &delta.other, old)
    add_piece(delta, &delta.other, new)
    add(delta, &delta.other, b"]", 1)


cdef void tell_elements(Delta* delta, Step* at, Py_ssize_t first, Piece old, Piece new) noexcept nogil:
    cdef char digits[24]
    begin(delta, &delta.other, b',["~",', at)
    add(delta, &delta.other, digits, snprintf(digits, sizeof(digits), b",%zd,[", first))
    add(delta, &delta.other, old.text + old.at, old.end - old.at)
    add(delta, &delta.other, b"],[", 3)
    add(delta, &delta.other, new.text + new.at, new.end - new.at)
    add(delta, &delta.other, b"]]", 2)


# --- the comparison: two walks side by side. Each function begins where values do, and ends behind them.

cdef inline bint named_alike(Member* one, Member* other) noexcept nogil:
    return one.size == other.size and memcmp(one.name, other.name, one.size) == 0


cdef bint is_ahead(Member* wanted, Piece walk) noexcept nogil:
    """Whether a member of that name is among the next ones of a walk."""
    cdef Member found
    cdef int _
    for _ in range(AHEAD):
        if not skip_member(&walk, &found):
            return False
        if named_alike(wanted, &found):
            return True
    return False


cdef void look_ahead(Delta* delta, Piece* old, Piece* new) noexcept nogil:
    """Find out how far the texts are the same from here on."""
    cdef const uint8_t* one = <const uint8_t*>old.text + old.at
    cdef const uint8_t* other = <const uint8_t*>new.text + new.at
    cdef Py_ssize_t at = alike(one, other, min(old.end - old.at, new.end - new.at))
    delta.until = old.at + at
    delta.over = at == old.end - old.at == new.end - new.at
    delta.level = delta.deepest = 0


@cython.overflowcheck(False)          # bits are shifted out
cdef Py_ssize_t forward(Delta* delta, Piece* old, Piece* new) noexcept nogil:
    """Go over members or elements that are the same in both texts; how many they were.

    It ends at the bracket, or at the member in which the same part ends. What that one contains is noted, so
    that the walk into it begins there.
    """
    cdef const char* text = old.text
    cdef Level* levels = delta.levels
    cdef Py_ssize_t at = old.at + (old.at < delta.until and text[old.at] == c',')
    cdef Py_ssize_t block, member = at, index = 0      # of the level where the walk is
    cdef Marks walk = Marks(text, at, delta.until, 0, False)
    cdef Block found
    cdef Level* level
    cdef uint64_t brackets, commas, empty, bit, before
    cdef int depth = 0
    while walk.at < walk.end:
        block = walk.at
        next_block(&walk, &found)
        commas = found.commas
        empty = found.opens & found.closes >> 1        # objects and lists that nobody needs to enter
        brackets = (found.opens | found.closes) & ~(empty | empty << 1)
        while brackets:
            bit = brackets & -brackets
            brackets ^= bit
            before = commas & (bit - 1)
            commas ^= before
            level = &levels[depth]
            if found.closes & bit:
                if depth == 0:        # the end of the object or list
                    member, commas, walk.end = block + lowest_bit(bit), 0, 0
                    break
                depth -= 1
                level -= 1
                member, index = level.member, level.index
                continue
            if before:
                member = block + highest_bit(before) + 1
                index += bits_in(before)
            if depth == DEEPEST - 1:
                commas = walk.end = 0
                break
            level.member, level.index = member, index
            level += 1
            depth += 1
            level.at = block + lowest_bit(bit)
            member, index = level.at + 1, 0
        if commas:
            member = block + highest_bit(commas) + 1
            index += bits_in(commas)
    levels[depth].member, levels[depth].index = member, index
    delta.level, delta.deepest = 1, depth
    new.at += levels[0].member - old.at
    old.at = levels[0].member
    return levels[0].index


cdef Py_ssize_t enter(Delta* delta, Piece* old, Piece* new) noexcept nogil:
    """Enter the object or list at which both walks are, and go over what is the same; how many members or
    elements that was."""
    cdef Level* level
    if delta.level and delta.level <= delta.deepest and delta.levels[delta.level].at == old.at:
        level = &delta.levels[delta.level]
        delta.level += 1
        new.at += level.member - old.at
        old.at = level.member
        return level.index
    old.at += 1
    new.at += 1
    return forward(delta, old, new) if old.at < delta.until else 0


cdef void values(Delta* delta, Piece* old, Piece* new, Step* at, int depth) noexcept nogil:
    cdef char kind = old.text[old.at] if old.at < old.end else 0
    cdef Py_ssize_t size, end
    if new.at < new.end and new.text[new.at] == kind and depth < DEEPEST and kind in (c'{', c'['):
        if kind == c'{':
            objects(delta, old, new, at, depth)
        else:
            lists(delta, old, new, at, depth)
        return
    size = after_value(old.text, old.at, old.end) - old.at
    if size <= 0:
        delta.failed = BROKEN
        return
    if old.at + size < delta.until:     # the comma or bracket behind the value is the same, too
        old.at += size
        new.at += size
        return
    end = after_value(new.text, new.at, new.end)
    if end <= new.at:
        delta.failed = BROKEN
        return
    if size != end - new.at or memcmp(old.text + old.at, new.text + new.at, size):
        tell_changed(delta, at, Piece(old.text, old.at, old.at + size), Piece(new.text, new.at, end))
    old.at += size
    new.at = end
    look_ahead(delta, old, new)


cdef void objects(Delta* delta, Piece* old, Piece* new, Step* at, int depth) noexcept nogil:
    cdef Member before, after
    cdef Step here
    cdef bint left, right, first = True
    here.parent = at
    enter(delta, old, new)
    while not delta.failed:
        if delta.over:
            return
        if not first and old.at < delta.until:
            forward(delta, old, new)
        first = False
        left, right = goes_on(old, c'}'), goes_on(new, c'}')
        if not (left or right):
            break
        if old.at < delta.until and read_name(old, &before) and before.value <= delta.until:
            new.at += before.value - old.at     # the other name is the same
            old.at = before.value
            here.name, here.size = before.name, before.size
            values(delta, old, new, &here, depth + 1)
        elif (left and not read_name(old, &before)) or (right and not read_name(new, &after)):
            delta.failed = BROKEN
        elif left and right and named_alike(&before, &after):
            here.name, here.size = after.name, after.size
            old.at, new.at = before.value, after.value
            values(delta, old, new, &here, depth + 1)
        elif right and (not left or is_ahead(&before, new[0])):    # it came before a member that both have
            here.name, here.size = after.name, after.size
            if read_end(new, &after):
                tell_new(delta, &here, Piece(new.text, after.value, after.end))
                new.at = after.end + (new.text[after.end] == c',')
                look_ahead(delta, old, new)
            else:
                delta.failed = BROKEN
        else:
            here.name, here.size = before.name, before.size
            if read_end(old, &before):
                tell_gone(delta, &here, Piece(old.text, before.value, before.end))
                old.at = before.end + (old.text[before.end] == c',')
                look_ahead(delta, old, new)
            else:
                delta.failed = BROKEN
    close(delta, old, new, c'}')


cdef inline void close(Delta* delta, Piece* old, Piece* new, char bracket) noexcept nogil:
    """Go behind the brackets that end both; a text that is not compact has others there."""
    if old.at < old.end and old.text[old.at] == bracket and new.at < new.end and new.text[new.at] == bracket:
        old.at += 1
        new.at += 1
    else:
        delta.failed = BROKEN


cdef void lists(Delta* delta, Piece* old, Piece* new, Step* at, int depth) noexcept nogil:
    """Elements of lists of one length are compared one by one; of others, the ends that are the same stay."""
    cdef Piece first = old[0], other = new[0]
    cdef Py_ssize_t gone = delta.gone.size, told = delta.other.size, until = delta.until
    cdef Step here
    cdef bint left = True, right = True, start = True
    here.parent, here.name, here.size = at, NULL, enter(delta, old, new)
    while not delta.failed:
        if delta.over:
            return
        if not start and old.at < delta.until:
            here.size += forward(delta, old, new)
        start = False
        left, right = goes_on(old, c']'), goes_on(new, c']')
        if not (left and right):
            break
        values(delta, old, new, &here, depth + 1)
        here.size += 1
    if left == right and not delta.failed:
        close(delta, old, new, c']')
    elif delta.failed != BROKEN:
        delta.gone.size, delta.other.size, delta.until, delta.failed = gone, told, until, 0
        delta.over, delta.level, delta.deepest = False, 0, 0
        old[0], new[0] = first, other
        splice(delta, old, new, at)


cdef inline bint same(Piece one, Piece other) noexcept nogil:
    cdef Py_ssize_t size = one.end - one.at
    return size == other.end - other.at and memcmp(one.text + one.at, other.text + other.at, size) == 0


cdef void splice(Delta* delta, Piece* old, Piece* new, Step* at) noexcept nogil:
    """Tell of lists of different lengths which elements stand in place of which."""
    cdef Py_ssize_t olds = 0, news = 0, first = 0, last = 0
    cdef Py_ssize_t* a = elements(old, &olds)
    cdef Py_ssize_t* b = elements(new, &news)
    if a == NULL or b == NULL:
        delta.failed = BROKEN
    else:
        while first < min(olds, news) and same(
            among(old, a, first, first + 1), among(new, b, first, first + 1)
        ):
            first += 1
        while last < min(olds, news) - first and same(
            among(old, a, olds - 1 - last, olds - last), among(new, b, news - 1 - last, news - last)
        ):
            last += 1
        tell_elements(delta, at, first, among(old, a, first, olds - last), among(new, b, first, news - last))
        look_ahead(delta, old, new)
    free(a)
    free(b)


def difference(bytes old not None, bytes new not None, Py_ssize_t most):
    """The delta from one text to another.

    None when it has more than `most` bytes, or a text is no compact JSON object.
    """
    cdef Delta delta
    cdef Piece before, after
    cdef bytes made
    cdef char* at
    cdef bint both
    delta.gone = Text(NULL, 0, 0)
    delta.other = Text(NULL, 0, 0)
    delta.most, delta.failed = most, 0
    before = Piece(PyBytes_AS_STRING(old), 0, PyBytes_GET_SIZE(old))
    after = Piece(PyBytes_AS_STRING(new), 0, PyBytes_GET_SIZE(new))
    if before.end < 2 or after.end < 2 or before.text[0] != c'{' or after.text[0] != c'{':
        return None
    try:
        with nogil:
            look_ahead(&delta, &before, &after)
            objects(&delta, &before, &after, NULL, 0)
        if delta.failed or not delta.over and (before.at != before.end or after.at != after.end):
            return None
        both = delta.gone.size and delta.other.size
        made = PyBytes_FromStringAndSize(NULL, delta.gone.size + delta.other.size + both + 2)
        at = PyBytes_AS_STRING(made)
        at[0] = c'['
        at += 1
        if delta.gone.size:
            memcpy(at, delta.gone.start, delta.gone.size)
            at += delta.gone.size
        if both:
            at[0] = c','
            at += 1
        if delta.other.size:
            memcpy(at, delta.other.start, delta.other.size)
        at[delta.other.size] = c']'
        return made
    finally:
        free(delta.gone.start)
        free(delta.other.start)
