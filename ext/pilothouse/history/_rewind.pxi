# The text of an object before some changes, made of the text after them by their deltas. Included by
# _delta.pyx.
#
# Steps of several deltas are gathered, so that one walk over the text sets all of them. Those that meet, as
# one inside the value of another, are set in walks of their own.

cdef enum:
    MOST_PLACES = 64                  # places that one walk sets
    MOST_STEPS = 256                  # of one delta; a longer one is left to undo()
    LONG = 65536                      # bytes from which on the interpreter lock is released

ctypedef unsigned long long Places    # a set of places: a bit for each

cdef struct Place:                    # a place in the object, and the value that it had
    const char* path                  # the elements of its path
    Py_ssize_t size, at               # bytes of the path; the offset of the element that is looked for
    const char* value                 # NULL where there was none
    Py_ssize_t length                 # bytes of the value
    Py_ssize_t first, news            # of a list: in place of how many elements it stands; first is -1 else

cdef struct Rewind:
    Text made[2]                      # what the last walk has made, and the walk before it
    Piece text                        # the object as far as it is set back
    Place places[MOST_PLACES]
    int count, turn
    bint failed                       # something is not as a delta says, or there is no memory


cdef void put(Rewind* way, const char* piece, Py_ssize_t size) noexcept nogil:
    cdef Text* text = &way.made[way.turn]
    cdef Py_ssize_t room
    cdef char* grown
    if text.size + size > text.room:
        room = max(2 * (text.size + size), way.text.end) + 256
        grown = <char*>realloc(text.start, room)
        if grown == NULL:
            way.failed = True
            return
        text.start, text.room = grown, room
    memcpy(text.start + text.size, piece, size)
    text.size += size


cdef inline bint looks_for(Place* place, const char* name, Py_ssize_t size) noexcept nogil:
    """Whether the element of the path that is looked for is this one."""
    cdef Py_ssize_t end = place.at + size
    return (
        (end == place.size or (end < place.size and place.path[end] == c','))
        and memcmp(place.path + place.at, name, size) == 0
    )


cdef Places named(Rewind* way, Places live, const char* name, Py_ssize_t size) noexcept nogil:
    """The places, of some, that are at or below the member or element with a name."""
    cdef Places found = 0
    cdef int number
    while live:
        number = lowest_bit(live)
        live &= live - 1
        if looks_for(&way.places[number], name, size):
            found |= <Places>1 << number
    return found


cdef void move(Rewind* way, Places live, Py_ssize_t by) noexcept nogil:
    """Look for the next element of the paths of some places, or for the one before again."""
    cdef int number
    for number in range(way.count):
        if live >> number & 1:
            way.places[number].at += by


cdef void put_elements(Rewind* way, Place* place, Piece* walk) noexcept nogil:
    """Put a list in which others stand in place of some elements; the walk goes behind it."""
    cdef Py_ssize_t index = 0, first = walk.at + 1, before = first, behind, end
    if walk.at >= walk.end or walk.text[walk.at] != c'[':
        way.failed = True
        return
    walk.at = first
    while index < place.first + place.news:
        end = after_value(walk.text, walk.at, walk.end) if goes_on(walk, c']') else -1
        if end <= walk.at:
            way.failed = True
            return
        walk.at = end
        index += 1
        if index <= place.first:
            before = end
    goes_on(walk, c']')
    behind, end = walk.at, closing(walk)
    if end < behind:
        way.failed = True
        return
    put(way, b"[", 1)
    put_joined(way, Piece(walk.text, first, before))
    put_joined(way, Piece(place.value, 0, place.length))
    put_joined(way, Piece(walk.text, behind, end))
    put(way, b"]", 1)
    walk.at = end + 1


cdef void put_joined(Rewind* way, Piece some) noexcept nogil:
    """Put elements after those that were put before."""
    cdef Text* text = &way.made[way.turn]
    if some.at < some.end and not way.failed:
        if text.start[text.size - 1] != c'[':
            put(way, b",", 1)
        put(way, some.text + some.at, some.end - some.at)


cdef void put_back(Rewind* way, Piece* walk, Places live, int depth) noexcept nogil:
    """Put the object or list at which a walk is, with some places in it set; the walk goes behind it."""
    if walk.at < walk.end and depth <= DEEPEST:
        if walk.text[walk.at] == c'{':
            put_members(way, walk, live, depth)
            return
        if walk.text[walk.at] == c'[':
            put_list(way, walk, live, depth)
            return
    way.failed = True


cdef void put_value(Rewind* way, Piece* walk, Places mine, Py_ssize_t step, int depth) noexcept nogil:
    """Put the value of a member or element at or below which some places are; the walk goes behind it.

    step: bytes of the name or index.
    """
    cdef Place* place = &way.places[lowest_bit(mine)]
    cdef Py_ssize_t end
    if place.at + step < place.size:
        move(way, mine, step + 1)
        put_back(way, walk, mine, depth + 1)
        move(way, mine, -step - 1)
        return
    if mine & (mine - 1):             # another one is below it
        way.failed = True
        return
    if place.first >= 0:
        put_elements(way, place, walk)
        return
    end = after_value(walk.text, walk.at, walk.end)
    if end <= walk.at or place.value == NULL:  # an element that is new is no step
        way.failed = True
        return
    put(way, place.value, place.length)
    walk.at = end


cdef inline void put_run(Rewind* way, Py_ssize_t begun, Piece run) noexcept nogil:
    """Put members or elements as they are, with a comma where others were put since `begun`."""
    if run.at < run.end:
        if way.made[way.turn].size > begun:
            put(way, b",", 1)
        put(way, run.text + run.at, run.end - run.at)


cdef inline Py_ssize_t closing(Piece* walk) noexcept nogil:
    """Where the bracket is that ends the object or list in which a walk is, -1 when there is none."""
    return after_brackets(walk.text, walk.at, walk.end, 1) - 1


cdef void put_members(Rewind* way, Piece* walk, Places live, int depth) noexcept nogil:
    cdef Member member
    cdef Places mine, found = 0
    cdef Place* place
    cdef Py_ssize_t begun, run, end   # where members begin and end that stay as they are
    walk.at += 1
    put(way, b"{", 1)
    begun = way.made[way.turn].size
    run = end = walk.at
    while not way.failed and goes_on(walk, c'}'):
        if found == live:
            walk.at = end = closing(walk)
            way.failed |= end < run
            break
        if not read_name(walk, &member):
            way.failed = True
            return
        mine = named(way, live & ~found, member.name, member.size)
        if not mine:
            way.failed |= not read_end(walk, &member)
            walk.at = end = member.end
            continue
        found |= mine
        put_run(way, begun, Piece(walk.text, run, end))
        walk.at = member.value
        place = &way.places[lowest_bit(mine)]
        if place.value == NULL and place.at + member.size == place.size:
            way.failed |= not read_end(walk, &member)
            walk.at = member.end
        else:
            if way.made[way.turn].size > begun:
                put(way, b",", 1)
            put(way, member.name, member.size + 1)
            put_value(way, walk, mine, member.size, depth)
        run = end = walk.at + (walk.at < walk.end and walk.text[walk.at] == c',')
    if way.failed:
        return
    put_run(way, begun, Piece(walk.text, run, end))
    put_missing(way, live & ~found, begun)
    way.failed |= walk.at >= walk.end
    walk.at += 1
    put(way, b"}", 1)


cdef void put_missing(Rewind* way, Places live, Py_ssize_t begun) noexcept nogil:
    """Put the members that are not there any more."""
    cdef Place* place
    cdef int number
    if not live:
        return
    for number in range(way.count):
        if live >> number & 1:
            place = &way.places[number]
            if place.first >= 0 or place.path[place.at] != c'"' or element_end(place) != place.size:
                way.failed = True
                return
            if place.value == NULL:  # it came and went between the two texts
                continue
            if way.made[way.turn].size > begun:
                put(way, b",", 1)
            put(way, place.path + place.at, place.size - place.at)
            put(way, b":", 1)
            put(way, place.value, place.length)


cdef inline Py_ssize_t element_end(Place* place) noexcept nogil:
    """Where the element of the path that is looked for ends."""
    cdef Py_ssize_t at = place.at
    if at < place.size and place.path[at] == c'"':
        return after_string(place.path, at, place.size)
    while at < place.size and place.path[at] != c',':
        at += 1
    return at


cdef inline Py_ssize_t write_index(char* out, Py_ssize_t index) noexcept nogil:
    """Write an index as paths have it; how many bytes it takes."""
    if index < 10:                    # PERF: snprintf takes some 200 instructions
        out[0] = <char>(c'0' + index)
        return 1
    return snprintf(out, 24, b"%zd", index)


cdef void put_list(Rewind* way, Piece* walk, Places live, int depth) noexcept nogil:
    cdef char digits[24]
    cdef Places mine, found = 0
    cdef Py_ssize_t index = 0, size, end, begun, run
    walk.at += 1
    put(way, b"[", 1)
    begun = way.made[way.turn].size
    run = end = walk.at
    while not way.failed and goes_on(walk, c']'):
        if found == live:
            walk.at = end = closing(walk)
            way.failed |= end < run
            break
        size = write_index(digits, index)
        mine = named(way, live & ~found, digits, size)
        index += 1
        if not mine:
            end = after_value(walk.text, walk.at, walk.end)
            way.failed |= end <= walk.at
            walk.at = end
            continue
        found |= mine
        put_run(way, begun, Piece(walk.text, run, end))
        if way.made[way.turn].size > begun:
            put(way, b",", 1)
        put_value(way, walk, mine, size, depth)
        run = end = walk.at + (walk.at < walk.end and walk.text[walk.at] == c',')
    if way.failed:
        return
    put_run(way, begun, Piece(walk.text, run, end))
    way.failed |= found != live or walk.at >= walk.end
    walk.at += 1
    put(way, b"]", 1)


cdef void set_back(Rewind* way) noexcept nogil:
    """Set the places that were gathered, in one walk."""
    cdef Piece walk = way.text
    cdef Places all_ = ~<Places>0 if way.count == MOST_PLACES else (<Places>1 << way.count) - 1
    cdef int number
    if not way.count or way.failed:
        return
    way.made[way.turn].size = 0
    for number in range(way.count):
        way.places[number].at = 0
    put_back(way, &walk, all_, 0)
    way.failed |= walk.at != walk.end
    way.text = Piece(way.made[way.turn].start, 0, way.made[way.turn].size)
    way.turn = 1 - way.turn
    way.count = 0


cdef inline bint are_apart(Place* one, Place* other) noexcept nogil:
    """Whether the ends of two paths, as far as both go, show that no place is at or below the other one.

    PERF: of two paths most are; is_below() compares them from the beginning, which many have in common.
    """
    cdef Py_ssize_t at = min(one.size, other.size) - WORD
    cdef unsigned long long end, other_end
    if at < 0:
        return False
    memcpy(&end, one.path + at, WORD)
    memcpy(&other_end, other.path + at, WORD)
    return end != other_end


cdef bint is_below(Place* one, Place* other) noexcept nogil:
    """Whether a place is the other one, or below it."""
    return (
        (one.size == other.size or (one.size > other.size and one.path[other.size] == c','))
        and memcmp(one.path, other.path, other.size) == 0
    )


cdef bint is_replaced(Place* one, Place* list_) noexcept nogil:
    """Whether a place below a list is in one of the elements that others stand in place of."""
    cdef Py_ssize_t at = list_.size + 1, index = 0
    if list_.first < 0 or one.size <= at:
        return False
    while at < one.size and c'0' <= one.path[at] <= c'9' and index < list_.first + list_.news:
        index = 10 * index + one.path[at] - c'0'
        at += 1
    return (at == one.size or one.path[at] == c',') and list_.first <= index < list_.first + list_.news


cdef void gather(Rewind* way, Place place) noexcept nogil:
    """Note a place that is set after those that were gathered before it."""
    cdef int number = 0
    cdef Place* known
    while number < way.count:
        known = &way.places[number]
        if are_apart(known, &place):
            number += 1
        elif is_below(known, &place) and (place.first < 0 or is_replaced(known, &place)):
            # its value takes the place of the other one
            way.count -= 1
            way.places[number] = way.places[way.count]
        elif is_below(known, &place) or is_below(&place, known):
            set_back(way)
        else:
            number += 1
    if way.count == MOST_PLACES:
        set_back(way)
    way.places[way.count] = place
    way.count += 1


cdef inline Py_ssize_t after_path(const char* text, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """The offset behind the list of names and indexes that begins at `at`, -1 when it does not end."""
    at += 1
    while 0 <= at < end and text[at] != c']':
        at = after_string(text, at, end) if text[at] == c'"' else at + 1
    return at + 1 if 0 <= at < end else -1


cdef bint read_step(Piece* step, Place* place) noexcept nogil:
    """The place that a step of a delta is about, and the value that it had; the walk goes behind it."""
    cdef const char* text = step.text
    cdef char kind
    cdef Py_ssize_t at = step.at + 5, end
    cdef Piece walk
    if step.end - step.at < 9 or memcmp(text + step.at, b'["', 2) or text[at] != c'[':
        return False
    kind = text[step.at + 2]
    end = after_path(text, at, step.end)
    place.path, place.size, place.first = text + at + 1, end - at - 2, -1
    if place.size <= 0 or text[end] != c',':
        return False
    at = end + 1
    if kind == c'~':
        place.first = 0
        while c'0' <= text[at] <= c'9':
            place.first = 10 * place.first + text[at] - c'0'
            at += 1
        at += 1
    end = after_value(text, at, step.end)
    if end <= at:
        return False
    place.value, place.length = text + at, end - at
    if kind == c'+':
        place.value = NULL
    elif kind == c'=':
        if text[end] != c',':
            return False
        end = after_value(text, end + 1, step.end)
    elif kind == c'~':
        if text[at] != c'[' or text[end] != c',' or text[end + 1] != c'[':
            return False
        place.value, place.length = text + at + 1, end - at - 2
        place.news = 0
        walk = Piece(text, end + 2, step.end)
        while goes_on(&walk, c']'):
            end = after_value(text, walk.at, walk.end)
            if end <= walk.at:
                return False
            walk.at = end
            place.news += 1
        end = walk.at + 1
    if not 0 < end < step.end or text[end] != c']':
        return False
    step.at = end + 1
    return True


cdef void follow(Rewind* way, Piece delta) noexcept nogil:
    """Gather the steps of one delta, the last first."""
    cdef Place steps[MOST_STEPS]
    cdef int count = 0
    delta.at += 1
    while goes_on(&delta, c']'):
        if count == MOST_STEPS or not read_step(&delta, &steps[count]):
            way.failed = True
            return
        count += 1
    while count and not way.failed:
        count -= 1
        gather(way, steps[count])


cdef void follow_all(Rewind* way, Piece* deltas, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t number
    for number in range(count):
        if not way.failed:
            follow(way, deltas[number])
    set_back(way)


cdef class Rewinding:
    """Makes texts as they were before some changes, one after the other, in memory that it keeps."""

    def __cinit__(self):
        self.way = <Rewind*>calloc(1, sizeof(Rewind))
        if self.way == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.way != NULL:
            free(self.way.made[0].start)
            free(self.way.made[1].start)
        free(self.way)
        free(self.pieces)
        free(self.unpacked)

    cdef bint make(self, bytes new, list deltas) except -1:
        """Make the text before some changes, which is at `way.text` until the next call.

        deltas: theirs as they are kept, the newest first. False where that is left to undo(); ValueError for
        a delta that is damaged.
        """
        cdef Rewind* way = self.way
        cdef Py_ssize_t size = self.unpack(deltas), count = len(deltas)
        way.text = Piece(PyBytes_AS_STRING(new), 0, PyBytes_GET_SIZE(new))
        way.count, way.turn, way.failed = 0, 0, False
        if size + PyBytes_GET_SIZE(new) < LONG:
            follow_all(way, self.pieces, count)
        else:
            with nogil:
                follow_all(way, self.pieces, count)
        return not way.failed

    cdef Py_ssize_t unpack(self, list packed) except -1:
        """Unpack deltas, and note where each is; how many bytes they have."""
        cdef Py_ssize_t number, at = 0, length, room = 0
        cdef const uint8_t* text
        cdef bytes one
        for one in packed:
            length = -1 if one is None else unpacked_size(
                <const uint8_t*>PyBytes_AS_STRING(one), PyBytes_GET_SIZE(one)
            )
            if length < 0:
                raise ValueError("a change in the history is damaged")
            room += length
        self.make_room(len(packed), room)
        for number in range(len(packed)):
            one = <bytes>packed[number]
            text, length = <const uint8_t*>PyBytes_AS_STRING(one), PyBytes_GET_SIZE(one)
            self.pieces[number] = Piece(self.unpacked + at, 0, unpacked_size(text, length))
            if not expand(text, length, <uint8_t*>self.unpacked + at, self.pieces[number].end):
                raise ValueError("a change in the history is damaged")
            at += self.pieces[number].end
        return at

    cdef int make_room(self, Py_ssize_t count, Py_ssize_t size) except -1:
        """Have room for so many deltas of so many bytes in all."""
        if count > self.most or self.pieces == NULL:
            free(self.pieces)
            self.most = count + 16
            self.pieces = <Piece*>malloc(self.most * sizeof(Piece))
        if size > self.room or self.unpacked == NULL:
            free(self.unpacked)
            self.room = 2 * size + 256
            self.unpacked = <char*>malloc(self.room)
        if self.pieces == NULL or self.unpacked == NULL:
            self.most = self.room = 0
            raise MemoryError
        return 0

    cdef bytes served(self, bytes new, list deltas, long long revision, Py_ssize_t* head):
        """The text before some changes of one that is served, with its own resourceVersion; sets `head`.

        None where that is left to others. deltas: as make() takes them.
        """
        if not self.make(new, deltas):
            return None
        return revised_text(self.way.text.text, self.way.text.end, revision, head)


def rewound(bytes new not None, list deltas not None):
    """The text before some changes; `deltas` are theirs as they are kept, the newest first.

    None where that is left to undo(). ValueError for a delta that is damaged.
    """
    cdef Rewinding one = Rewinding.__new__(Rewinding)
    if not one.make(new, deltas):
        return None
    return PyBytes_FromStringAndSize(one.way.text.text, one.way.text.end)
