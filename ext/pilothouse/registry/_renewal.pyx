"""Makes a renewed object out of the bytes of the stored one and those of an update.

The holder of a lease sends an update every few seconds in which one time is new. All else in it has to be in
the stored object as well, byte for byte, so nothing of it is decoded.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy, strlen

from pilothouse.api._json cimport skip_space, skip_string, skip_value

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t m)

DEF MOST = 24      # members that are read of an object
DEF ENTRIES = 10   # managed fields up to which an update merges none of them (changes/managed.py)

cdef struct Span:
    const char* s
    Py_ssize_t n

cdef struct Member:
    Span name      # with its quotes
    Span value

cdef struct Members:
    Member all[MOST]
    int count

cdef struct Edit:
    Span old
    Span new


cdef inline bint same(Span one, Span two) noexcept nogil:
    return one.n == two.n and memcmp(one.s, two.s, one.n) == 0


cdef inline bint joins(char c) noexcept nogil:
    """Whether spaces may stand before and after a character."""
    return c == c'{' or c == c'}' or c == c'[' or c == c']' or c == c',' or c == c':'


cdef bint same_value(Span sent, Span stored) noexcept nogil:
    """Whether two JSON values are written alike, but for spaces between the parts of the first."""
    cdef Py_ssize_t i = 0, k = 0, before
    cdef bint quoted = False
    if same(sent, stored):
        return True
    while k < stored.n:
        if not quoted:
            before, i = i, skip_space(sent.s, i, sent.n)
            if i > before and not joins(stored.s[k]) and not (k and joins(stored.s[k - 1])):
                return False
        if i == sent.n or sent.s[i] != stored.s[k]:
            return False
        if quoted and stored.s[k] == c'\\':
            i, k = i + 1, k + 1
            if i == sent.n or sent.s[i] != stored.s[k]:
                return False
        elif stored.s[k] == c'"':
            quoted = not quoted
        i, k = i + 1, k + 1
    return skip_space(sent.s, i, sent.n) == sent.n


cdef inline Span span(const char* text) noexcept nogil:
    cdef Span out
    out.s, out.n = text, strlen(text)
    return out


cdef inline Span of(bytes text) noexcept:
    cdef Span out
    out.s, out.n = PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
    return out


cdef inline bint has(Span text, Span part) noexcept nogil:
    return memmem(text.s, text.n, part.s, part.n) != NULL


cdef bint read(Span text, Members* out) noexcept nogil:
    """Read the members of an object; False for what is none, has more than MOST, or goes on after it."""
    cdef const char* s = text.s
    cdef Py_ssize_t n = text.n, at = skip_space(s, 0, n), start
    out.count = 0
    if at >= n or s[at] != c'{':
        return False
    at = skip_space(s, at + 1, n)
    while at < n and s[at] == c'"' and out.count < MOST:
        start, at = at, skip_string(s, at, n)
        if at < 0:
            return False
        out.all[out.count].name.s, out.all[out.count].name.n = s + start, at - start
        at = skip_space(s, at, n)
        if at >= n or s[at] != c':':
            return False
        start = skip_space(s, at + 1, n)
        at = skip_value(s, start, n)
        if at < 0:
            return False
        out.all[out.count].value.s, out.all[out.count].value.n = s + start, at - start
        out.count += 1
        at = skip_space(s, at, n)
        if at < n and s[at] == c'}':
            return skip_space(s, at + 1, n) == n
        if at >= n or s[at] != c',':
            return False
        at = skip_space(s, at + 1, n)
    return False


cdef Member* find(Members* members, Span name) noexcept nogil:
    cdef int i
    for i in range(members.count):
        if same(members.all[i].name, name):
            return &members.all[i]
    return NULL


cdef bint paired(Members* sent, Members* live, Member** pairs) noexcept nogil:
    """Find the live member of each sent one; False where there is none, or a name comes twice."""
    cdef int i, k
    for i in range(sent.count):
        pairs[i] = find(live, sent.all[i].name)
        if pairs[i] == NULL:
            return False
        for k in range(i):
            if pairs[k] == pairs[i]:
                return False
    return True


cdef bint is_value(Members* members, const char* name, Span value) noexcept nogil:
    cdef Member* found = find(members, span(name))
    return found != NULL and same(found.value, value)


cdef bint within(Members* members, Span name, Members* out) noexcept nogil:
    """Read the object that a member is."""
    cdef Member* found = find(members, name)
    return found != NULL and read(found.value, out)


cdef bint kept(Span name) noexcept nogil:
    """Whether an update keeps a member of the metadata that it leaves out."""
    return (
        same(name, span(b'"uid"'))
        or same(name, span(b'"creationTimestamp"'))
        or same(name, span(b'"managedFields"'))
    )


cdef bint alike(Members* sent, Members* live) noexcept nogil:
    """Whether an update changes no member of the metadata, and names the live version."""
    cdef Member* pairs[MOST]
    cdef int i
    if not paired(sent, live, pairs) or find(sent, span(b'"resourceVersion"')) == NULL:
        return False
    for i in range(sent.count):
        if not same_value(sent.all[i].value, pairs[i].value):
            return False
    for i in range(live.count):
        if same(live.all[i].name, span(b'"deletionTimestamp"')):
            return False
        if sent.count < live.count and not kept(live.all[i].name) and find(sent, live.all[i].name) == NULL:
            return False
    return True


cdef bint digits(const char* s, const char* shape) noexcept nogil:
    """Whether a text has a shape, in which 0 stands for any digit."""
    cdef Py_ssize_t i
    for i in range(<Py_ssize_t>strlen(shape)):
        if not (c'0' <= s[i] <= c'9' if shape[i] == c'0' else s[i] == shape[i]):
            return False
    return True


cdef inline int two(const char* s) noexcept nogil:
    return (s[0] - c'0') * 10 + s[1] - c'0'


cdef int days_in(int month, int year) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef bint is_time(Span text) noexcept nogil:
    """Whether a JSON value is a time as a MicroTime is stored: in UTC, with six decimals."""
    cdef const char* s = text.s + 1
    cdef int month
    if text.n != 29 or not digits(text.s, b'"0000-00-00T00:00:00.000000Z"'):
        return False
    month = two(s + 5)
    return (
        two(s) > 0
        and 1 <= month <= 12
        and 1 <= two(s + 8) <= days_in(month, two(s) * 100 + two(s + 2))
        and two(s + 11) < 24
        and two(s + 14) < 60
        and two(s + 17) < 60
    )


cdef bint renewable(Span sent_text, Span live_text, Span name, Edit* edit) noexcept nogil:
    """Whether two objects have the same members but for a time of this name, which is the edit."""
    cdef Members sent, live
    cdef Member* pairs[MOST]
    cdef int i
    if not read(sent_text, &sent) or not read(live_text, &live):
        return False
    if sent.count != live.count or not paired(&sent, &live, pairs):
        return False
    edit.old.n = 0
    for i in range(sent.count):
        if same(sent.all[i].name, name):
            edit.old, edit.new = pairs[i].value, sent.all[i].value
        elif not same_value(sent.all[i].value, pairs[i].value):
            return False
    return is_time(edit.old) and is_time(edit.new) and not same(edit.old, edit.new)


cdef bint last_of(Span list_, Span theirs, Span* out) noexcept nogil:
    """Find the last of the managed fields; False if there are none, or too many, or an earlier one has the
    field that is theirs to lose."""
    cdef Py_ssize_t at = 0, end
    cdef int i
    for i in range(ENTRIES):
        if at >= list_.n or list_.s[at] != (c'[' if i == 0 else c','):
            return False
        end = skip_value(list_.s, at + 1, list_.n)
        if end < 0:
            return False
        out.s, out.n = list_.s + at + 1, end - at - 1
        if end == list_.n - 1:
            return True
        if has(out[0], theirs):
            return False
        at = end
    return False


cdef bytes spliced(bytes value, Edit* edits):
    """A value with three edits, in their order."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef const char* end = s + size
    cdef int i
    for i in range(3):
        size += edits[i].new.n - edits[i].old.n
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    cdef char* o = PyBytes_AS_STRING(out)
    for i in range(3):
        memcpy(o, s, edits[i].old.s - s)
        o += edits[i].old.s - s
        memcpy(o, edits[i].new.s, edits[i].new.n)
        o += edits[i].new.n
        s = edits[i].old.s + edits[i].old.n
    memcpy(o, s, end - s)
    return out


cdef class RenewedTime:
    """The update that changes one time of an object, the member `name` of its `part`, and nothing else."""
    cdef bytes part, name, owned_part, owned_name

    def __init__(self, str part not None, str name not None):
        self.part, self.name = f'"{part}"'.encode(), f'"{name}"'.encode()
        self.owned_part, self.owned_name = f'"f:{part}"'.encode(), f'"f:{name}"'.encode()

    def of(self, bytes body not None, bytes live not None, str manager not None, str now not None):
        """The bytes to store for an update of a served object by a manager, whose body is JSON; None where it
        would change more than this time and that of the manager's entry in the managed fields.

        `now`: the time of the update, in whole seconds, as objects have it.
        """
        cdef Members sent, stored
        cdef Member* pairs[MOST]
        cdef Edit edits[3]
        cdef bytes who = f'"{manager}"'.encode()
        cdef bytes when = f'"{now}"'.encode()
        cdef Span metadata = span(b'"metadata"'), part = of(self.part)
        cdef Member* version
        cdef bint marked = False, renewed = False
        cdef int i
        if not read(of(body), &sent) or not read(of(live), &stored) or sent.count != stored.count:
            return None
        if not paired(&sent, &stored, pairs):
            return None
        edits[1].new = of(when)
        for i in range(sent.count):
            if same(sent.all[i].name, metadata):
                version = find(&stored, span(b'"apiVersion"'))
                marked = self.marks(sent.all[i].value, pairs[i].value, version, of(who), edits)
            elif same(sent.all[i].name, part):
                renewed = renewable(sent.all[i].value, pairs[i].value, of(self.name), &edits[2])
            elif not same_value(sent.all[i].value, pairs[i].value):
                return None
        if not marked or not renewed or edits[2].old.s < edits[1].old.s:
            return None
        return spliced(live, edits)

    cdef bint marks(
        self, Span sent_text, Span live_text, Member* version, Span manager, Edit* edits
    ) noexcept:
        """Whether the metadata is that of the live object, and its managed fields get another time alone. The
        edits are the loss of the resourceVersion, which is not stored, and that time."""
        cdef Members sent, live
        cdef Member* fields
        if version == NULL or not read(sent_text, &sent) or not read(live_text, &live):
            return False
        if live.count < 2 or not same(live.all[0].name, span(b'"resourceVersion"')):
            return False
        if not alike(&sent, &live):
            return False
        edits[0].old.s, edits[0].old.n = live.all[0].name.s, live.all[1].name.s - live.all[0].name.s
        edits[0].new = span(b"")
        fields = find(&live, span(b'"managedFields"'))
        return fields != NULL and self.touches(fields.value, version.value, manager, &edits[1])

    cdef bint touches(self, Span fields, Span version, Span manager, Edit* edit) noexcept:
        """Whether the last of the managed fields is that of a manager's updates, which owns the time that is
        renewed and shares it with nobody; the edit is that of the entry's own time."""
        cdef Members entry, owned
        cdef Span last
        cdef Member* time
        if not last_of(fields, of(self.owned_name), &last) or not read(last, &entry):
            return False
        time = find(&entry, span(b'"time"'))
        if time == NULL or find(&entry, span(b'"subresource"')) != NULL or not (
            is_value(&entry, b'"manager"', manager)
            and is_value(&entry, b'"operation"', span(b'"Update"'))
            and is_value(&entry, b'"apiVersion"', version)
        ):
            return False
        edit.old = time.value
        if edit.old.n != edit.new.n or memcmp(edit.old.s, edit.new.s, edit.old.n) > 0:
            return False
        return (
            within(&entry, span(b'"fieldsV1"'), &owned)
            and within(&owned, of(self.owned_part), &owned)
            and is_value(&owned, PyBytes_AS_STRING(self.owned_name), span(b"{}"))
        )
