"""Makes states of keys in the past of the changes since (undoing.py)."""

from cpython.bytes cimport PyBytes_GET_SIZE

from pilothouse.storage._entry cimport Entry, stored
from pilothouse.storage._pairs cimport KeyValue, pair

from pilothouse.api._json import strip
from pilothouse.history._packing import unpack
from pilothouse.history.delta import text_before
from pilothouse.history.file import ChangeKind, HistoryError
from pilothouse.storage.sqlite.file import BITS as ROW_BITS

cdef int CREATED = ChangeKind.CREATED
cdef int CHANGED = ChangeKind.CHANGED
cdef int UNREADABLE = ChangeKind.UNREADABLE
cdef int UNREADABLE_DELETED = ChangeKind.UNREADABLE_DELETED
cdef int BITS = ROW_BITS              # an id is a revision, and so many bits behind it


cdef class PastState:
    """A key as it was from one change to the next: the revisions and times of these, in milliseconds.

    since: 0 where that change is not kept. size: bytes of the value.
    """

    cdef readonly long long since, until, since_ms, until_ms
    cdef readonly Py_ssize_t size
    cdef KeyValue _kv
    cdef Entry _entry

    def __init__(self, KeyValue kv=None):
        """A state of which no change is known; kv: as JSON, None where the key was not there."""
        self._kv = kv
        self.size = 0 if kv is None else PyBytes_GET_SIZE(kv.value)

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


cdef class Since:
    """The changes of a key that are undone, in the order in which they were made.

    before, first: the ids of the one that came before, 0 for none, and of the first of them; and their times.
    kind: of the last one. values: what is kept of each.
    """

    cdef long long before, before_ms, first, first_ms
    cdef int kind
    cdef readonly list values


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
            since.before, since.before_ms, since.first, since.first_ms = before, before_ms, id, time_ms
            since.values = []
            found[key] = since
        since.kind = kind
        since.values.append(value)
        if value is not None:
            size += PyBytes_GET_SIZE(<bytes>value)
    return found, ""


def undo(dict changed not None, known not None, dict then not None, value_of, decrypt, long long oldest):
    """Add the states before the changes of some keys to `then`.

    known: states that are at hand. value_of: the JSON of a key after them. decrypt: what is kept under a key,
    None where nothing is encrypted. oldest: the revision of a state whose change is not kept.
    HistoryError, ValueError: a value cannot be read.
    """
    cdef Since since
    cdef PastState state
    cdef bytes value
    cdef long long revision
    for key, one in changed.items():
        if known and key in known:
            then[key] = known[key]
            continue
        since = <Since>one
        if decrypt is not None:
            since.values = [kept and decrypt(key, kept) for kept in since.values]
        value, revision = undone(key, since, value_of), since.before >> BITS
        state = PastState.__new__(PastState)
        if value is not None:
            state._kv, state.size = pair(key, value, revision or oldest, 0, 0), PyBytes_GET_SIZE(value)
        state.since, state.until = revision, since.first >> BITS
        state.since_ms, state.until_ms = since.before_ms, since.first_ms
        then[key] = state


cdef bytes undone(str key, Since since, value_of):
    """The value before some changes."""
    cdef list deltas = since.values
    cdef bytes value
    if since.kind == UNREADABLE or since.kind == UNREADABLE_DELETED:
        raise HistoryError(f"the value of {key} could not be decrypted when its change was kept")
    if since.kind == CHANGED:
        value = value_of(key)
    else:
        kept = deltas.pop()
        value = None if since.kind == CREATED or kept is None else unpack(kept)
    if not deltas:
        return value
    if value is None:
        raise HistoryError(f"the history of {key} has a gap")
    return text_before(value, [kept or b"" for kept in reversed(deltas)])
