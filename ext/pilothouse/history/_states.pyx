"""Makes states of keys in the past of the changes since (undoing.py)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t

from pilothouse.api._json cimport splice_at
from pilothouse.history._delta cimport Rewinding
from pilothouse.history._packing cimport unpacked_size
from pilothouse.history._recent cimport RecentChange, RecentChanges, Since
from pilothouse.storage._entry cimport Entry, stored
from pilothouse.storage._pairs cimport KeyValue, pair

from pilothouse.api._json import strip
from pilothouse.history._packing import unpack
from pilothouse.history.delta import text_before
from pilothouse.history.file import ChangeKind, HistoryError
from pilothouse.storage.sqlite.file import BITS as ROW_BITS

cdef enum:
    BESIDE = 512                      # bytes of a state beside its key and value

cdef int CREATED = ChangeKind.CREATED
cdef int CHANGED = ChangeKind.CHANGED
cdef int UNREADABLE = ChangeKind.UNREADABLE
cdef int UNREADABLE_DELETED = ChangeKind.UNREADABLE_DELETED
cdef Py_ssize_t MOST = 1 << 62        # bytes, where all changes of a key are read at once
cdef int BITS = ROW_BITS              # an id is a revision, and so many bits behind it


cdef class PastState:
    """A key as it was from one change to the next: the revisions and times of these, in milliseconds.

    since: 0 where that change is not kept.
    """

    cdef readonly long long since, until, since_ms, until_ms
    cdef KeyValue _kv
    cdef Entry _entry

    def __init__(self, Entry entry=None, KeyValue kv=None):
        """A state of which no change is known, as it is served, or as JSON; None where the key was not there.
        """
        self._entry = entry
        self._kv = kv

    cdef Py_ssize_t size(self) noexcept:
        if self._entry is not None:
            return PyBytes_GET_SIZE(self._entry.value)
        return 0 if self._kv is None else PyBytes_GET_SIZE(self._kv.value)

    @property
    def kv(self):
        """The pair, None where the key was not there."""
        cdef Entry entry = self._entry
        if entry is not None:
            return pair(entry.key, strip(entry.value), entry.rev, entry.create_rev, 0)
        return self._kv

    @property
    def entry(self):
        """The same as it is served; it takes the place of the pair."""
        if self._kv is not None:
            self._entry, self._kv = stored(self._kv, self._kv.value), None
        return self._entry


def changed_since(rows, long long after, Py_ssize_t most):
    """The changes after an id, by keys, of rows of CHANGED_SINCE; and the key from which on others follow
    once there are `most` bytes, "" for none."""
    cdef dict found = {}
    cdef Since since = None
    cdef str key = ""
    cdef Py_ssize_t size = 0
    cdef long long id, before = 0, before_ms = 0
    for row in rows:
        name, number, kind, time_ms, value = <tuple>row
        if <str>name != key:
            if size > most:
                return found, name
            key, since = name, None
            before = before_ms = 0
        id = number
        if id <= after:
            before, before_ms = id, time_ms
            continue
        if since is None:
            since = Since.__new__(Since)
            since.before, since.before_ms = before, before_ms
            found[key] = since
        since.add(id, kind, time_ms, value)
        if value is not None:
            size += PyBytes_GET_SIZE(<bytes>value)
    return found, ""


def changed_of(rows, long long after):
    """The changes after an id, of rows of CHANGED_SINCE of one key."""
    found, _ = changed_since(rows, after, MOST)
    for since in (<dict>found).values():
        return since
    return Since.__new__(Since)


def changed_between(objects, rows, Py_ssize_t most):
    """Like changed_since(), of rows of OBJECTS and of CHANGED_BETWEEN; None when there are more than `most`
    bytes."""
    cdef dict by_id = {}, keys = {}
    cdef Since since
    cdef PyObject* known
    cdef Py_ssize_t size = 0
    for object_id, key, before, before_ms in objects:
        since = Since.__new__(Since)
        if before is not None:
            since.before, since.before_ms = before, before_ms
        by_id[object_id] = keys[key] = since
    for row in rows:
        object_id, id, kind, time_ms, value = <tuple>row
        known = PyDict_GetItemWithError(by_id, object_id)
        if known == NULL:
            continue
        since = <Since>known
        if since.values is not None and since.kind != CHANGED:
            continue  # that one keeps the whole object
        since.add(id, kind, time_ms, value)
        if value is not None:
            size += PyBytes_GET_SIZE(<bytes>value)
            if size > most:
                return None
    return {key: since for key, since in keys.items() if (<Since>since).values is not None}


def unpacked_bytes(Since since not None):
    """The bytes of what some changes keep, once it is unpacked."""
    cdef Py_ssize_t size = 0
    cdef bytes value
    for value in since.values or ():
        if value is not None:
            size += max(unpacked_size(<const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)), 0)
    return size


def weight(str key not None, PastState state not None):
    """The bytes in memory of a key and its state."""
    return len(key) + state.size() + BESIDE


cdef inline bint is_before(PastState state, Since since) noexcept:
    """Whether a state is the one before some changes."""
    return state.since == since.before >> BITS and state.until == since.first >> BITS


def undo(dict changed not None, known not None, dict then not None, now_of, decrypt, long long oldest):
    """Add the states before the changes of some keys to `then`.

    known: states that are at hand; those before other changes are passed over. now_of: the Entry or KeyValue
    of a key after them, None without one. decrypt: what is kept under a key, None where nothing is encrypted.
    oldest: the revision of a state whose change is not kept. HistoryError, ValueError: a value can not be
    read.
    """
    cdef Since since
    cdef PastState state
    cdef Rewinding way = Rewinding.__new__(Rewinding)
    for key, one in changed.items():
        since = <Since>one
        state = known.get(key) if known else None
        if state is not None and is_before(state, since):
            then[key] = state
            continue
        if decrypt is not None:
            since.values = [kept and decrypt(key, kept) for kept in since.values]
        then[key] = before(key, since, now_of(key) if since.kind == CHANGED else None, way, oldest)


def undo_recent(RecentChanges recent not None, keys, ids, known not None, now_of, long long oldest):
    """The states of keys from one up to another, before their changes with ids above one and up to another
    that are in memory; None where others are needed. known, now_of, oldest: as undo() takes them.

    PERF: each key's changes are undone while they are in the processor's caches.
    """
    cdef Since since = Since.__new__(Since)
    cdef Rewinding way = Rewinding.__new__(Rewinding)
    cdef dict then = {}
    cdef list values = []
    cdef RecentChange one
    cdef PastState state
    cdef str first = keys[0], end = keys[1]
    cdef long long after = ids[0], upto = ids[1]
    if after < recent.after:
        return None
    for one in recent.latest():
        if one.id <= after or not first <= one.key < end:
            continue
        values.clear()
        since.values = None
        if not recent.gather(since, one, values, after, upto):
            return None
        if since.values is None:
            continue
        state = known.get(one.key)
        if state is None or not is_before(state, since):
            state = before(one.key, since, now_of(one.key) if since.kind == CHANGED else None, way, oldest)
        then[one.key] = state
    return then if recent.after <= after else None  # others may have been dropped in the meantime


def state_before(Entry latest not None, Since since not None, long long oldest):
    """The state of an object before some changes, None where there are none. oldest: as undo() takes it.
    HistoryError, ValueError: a value cannot be read."""
    if since.values is None:
        return None
    return before(latest.key, since, latest, Rewinding.__new__(Rewinding), oldest)


cdef PastState before(str key, Since since, now, Rewinding way, long long oldest):
    """The state of a key before some changes; now: the Entry or KeyValue after them."""
    cdef PastState state = PastState.__new__(PastState)
    cdef long long revision = since.before >> BITS
    set_back(state, key, since, now, way, revision or oldest)
    state.since, state.until = revision, since.first >> BITS
    state.since_ms, state.until_ms = since.before_ms, since.first_ms
    return state


cdef int set_back(PastState state, str key, Since since, now, Rewinding way, long long revision) except -1:
    """Give a state the value before some changes."""
    cdef list deltas = since.values
    cdef bytes value
    if since.kind == UNREADABLE or since.kind == UNREADABLE_DELETED:
        raise HistoryError(f"the value of {key} could not be decrypted when its change was kept")
    if since.kind == CHANGED:
        deltas.reverse()
        if type(now) is Entry:
            state._entry = entry_before(<Entry>now, deltas, way, revision)
            return 0
        value = None if now is None else (<KeyValue?>now).value
    else:
        value = deltas.pop()
        if value is not None:
            value = None if since.kind == CREATED else unpack(value)
        deltas.reverse()
    if deltas:
        if value is None:
            raise HistoryError(f"the history of {key} has a gap")
        value = text_before(value, deltas)
    if value is not None:
        state._kv = pair(key, value, revision, 0, 0)
    return 0


cdef Entry entry_before(Entry now, list deltas, Rewinding way, long long revision):
    """An object before some changes.

    PERF: the text that is served is set back, so that the resourceVersion needs not be taken out and put in.
    """
    cdef Entry entry = Entry.__new__(Entry)
    entry.key = now.key
    entry.rev = revision
    entry.value = way.served(now.value, deltas, revision, &entry.head)
    if entry.value is None:
        entry.value = splice_at(text_before(strip(now.value), deltas), revision, &entry.head)
    return entry
