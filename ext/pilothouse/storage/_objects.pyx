"""The objects under one prefix in memory: ordered by key, indexed,
and listed as of now or of an earlier revision.

Entries are immutable, so a snapshot is a list of references.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_Compare

from pilothouse.api._json cimport read_text
from pilothouse.api.values._selectors cimport Selector
from pilothouse.storage._entry cimport Change, Entry, extracted, labels_of

from pilothouse.storage._entry import bytes_of, key_of
from pilothouse.storage.interface import Compacted, FutureRevision

cdef int MAX_LABEL_INDEXES = 8
cdef dict NO_PATHS = {}                      # of caches without indexed fields; never changed
cdef str LAST = "\U0010ffff"


cdef dict paths_of(tuple fields):
    return {field: [part.encode() for part in field.split(".")] for field in fields}


cdef class Index:
    """Entries by a text value (of a label or a field)."""

    def __init__(self):
        self.groups = {}
        self.values = {}

    cdef void put(self, Entry entry, str value):
        """Set an object's value, or remove it if the value is None."""
        cdef str old = self.values.get(entry.key)
        if old is not None and old != value:
            group = self.groups[old]
            del group[entry.key]
            if not group:
                del self.groups[old]
            if value is None:
                del self.values[entry.key]
        if value is not None:
            group = self.groups.get(value)
            if group is None:
                self.groups[value] = group = {}
            group[entry.key] = entry
            self.values[entry.key] = value


cdef class Listing:
    """A page of a list. `remaining` is the number of objects after it, -1 if a selector makes it unknown."""

    def __init__(self, list entries, long long revision, bint more, Py_ssize_t remaining):
        self.entries = entries
        self.revision = revision
        self.more = more
        self.remaining = remaining
        self.fetched = PyList_GET_SIZE(entries)
        self.index = ""


cdef class Objects:
    """The objects under one prefix in key order, with indexes for lists with selectors."""

    def __init__(self, owner, str prefix, extract, tuple indexed_fields, long long oldest):
        self.owner = owner
        self.prefix = prefix
        self.extract = extract
        self.indexed_fields = indexed_fields
        self.field_paths = paths_of(indexed_fields) if indexed_fields else NO_PATHS
        self.by_key = {}
        self.entries = []
        self.label_indexes = {}
        self.field_indexes = {}
        self.ring = ()                       # a deque once something has changed
        self.oldest = self.last_change = oldest

    def load(self, list entries not None):
        """Load objects without events, because they are not new."""
        self.join(sorted(entries, key=key_of))

    cdef join(self, list entries):
        """Load objects in the order of their keys, beside those that are there."""
        cdef Entry entry
        cdef bint alone = not self.by_key
        for entry in entries:
            self.by_key[entry.key] = entry
        self.entries = list(entries) if alone else sorted(self.by_key.values(), key=key_of)
        self.stored_bytes = bytes_of(self.entries)
        self.reset_indexes()

    cdef reset_indexes(self):
        """Make the indexes anew, those of labels when they are asked for."""
        self.label_indexes.clear()
        self.field_indexes.clear()
        if PyList_GET_SIZE(self.entries) >= MANY:
            self.index_fields()

    cdef index_fields(self):
        for field in self.indexed_fields:
            self.field_index(field)

    @property
    def keys(self):
        """All keys, in order."""
        return [e.key for e in self.entries]

    @property
    def count(self):
        """The number of objects."""
        return PyList_GET_SIZE(self.entries)

    def within(self, str prefix not None):
        """The number of objects under the resource's or a namespace's prefix."""
        if prefix == self.prefix:
            return PyList_GET_SIZE(self.entries)
        return self.lower(prefix + LAST) - self.lower(prefix)

    def get(self, str key not None):
        """The newest version of an object, None if it does not exist."""
        return self.by_key.get(key)

    def list(
        self, str prefix_key not None, Selector selector=None, *, str after="", Py_ssize_t limit=0,
        long long at=0
    ):
        """A page of the objects under the resource's or a namespace's prefix, in key
        order, now or as of `at`.

        Raises Compacted if the ring does not reach back to `at`, FutureRevision if `at` is not reached yet.
        """
        cdef dict undone = self.undo(at, prefix_key, after) if self.changed_since(at) else None
        return self.page(prefix_key, selector, after, limit, at or self.owner.revision, undone)

    def list_among(
        self, tuple scopes not None, Selector selector=None, *, str after="", Py_ssize_t limit=0,
        long long at=0
    ):
        """Like list(), for the objects under several prefixes, which are given in the order of keys.

        One that does not end with "/" is the key of an object, and stands for that alone.
        """
        cdef long long revision = at or self.owner.revision
        cdef dict undone = None
        cdef list found = []
        cdef Py_ssize_t left = limit
        cdef Py_ssize_t remaining = 0
        cdef str scope
        cdef dict own
        cdef Listing page, out
        cdef Py_ssize_t fetched = 0
        cdef str index = ""
        if self.changed_since(at):
            undone = self.by_scope(self.undo(at, self.prefix, after))
        for scope in scopes:
            if after and PyUnicode_Compare(after, scope + LAST) >= 0:
                continue
            own = undone.get(scope) if undone is not None else None
            if limit and left == 0:
                remaining += self.size(scope, own)
                continue
            page = self.page(scope, selector, after, left, revision, own)
            found += page.entries
            fetched += page.fetched
            index = index or page.index
            if limit:
                left -= PyList_GET_SIZE(page.entries)
                remaining += page.remaining if page.remaining >= 0 else page.more
        whole = selector is None or selector.empty
        out = Listing(found, revision, remaining > 0, remaining if whole else -1)
        out.fetched, out.index = fetched, index
        return out

    cdef bint changed_since(self, long long at) except -1:
        """Whether a list as of `at` (0 = now) differs from what is there; FutureRevision."""
        if at > self.owner.revision:
            raise FutureRevision(self.owner.revision)
        return 0 < at < self.last_change

    cdef dict by_scope(self, dict undone):
        """Undone changes by the prefix of their keys' namespace, and by each key for those that have none."""
        cdef dict out = {}
        cdef str key
        for key, entry in undone.items():
            cut = key.rfind("/") + 1
            if cut > len(self.prefix):
                out.setdefault(key[:cut], {})[key] = entry
            else:
                out[key] = {key: entry}
        return out

    cdef Py_ssize_t size(self, str scope, dict undone) except -1:
        """The number of objects under a prefix, or as of then."""
        cdef Py_ssize_t low = self.lower(scope)
        cdef Py_ssize_t high = self.upper(scope)
        return PyList_GET_SIZE(self.merged(undone, low, high)) if undone else high - low

    cdef Py_ssize_t upper(self, str scope):
        """The position behind the last entry under a prefix; one that does not end with "/" is a key."""
        return self.lower(scope + (LAST if scope.endswith("/") else "\0"))

    cdef Listing page(self, str prefix_key, Selector selector, str after, Py_ssize_t limit,
                      long long revision, dict undone):
        cdef list rows
        cdef Py_ssize_t low = self.lower(prefix_key)
        cdef Py_ssize_t high = self.upper(prefix_key)
        cdef Py_ssize_t total
        if after and PyUnicode_Compare(after, prefix_key) >= 0:
            low = max(low, self.lower(after + "\0"))
        high = max(low, high)
        if selector is not None and not selector.empty:
            return self.select(prefix_key, selector, after, limit, revision, undone, low, high)
        if undone:
            rows = self.merged(undone, low, high)
            total = len(rows)
            if limit and limit < total:
                rows = rows[:limit]
        else:
            total = high - low
            rows = self.entries[low:low + limit if limit and limit < total else high]
        return Listing(rows, revision, len(rows) < total, total - len(rows))

    cdef Listing select(self, str prefix, Selector selector, str after, Py_ssize_t limit, long long revision,
                        dict undone, Py_ssize_t low, Py_ssize_t high):
        cdef list rows, found = []
        cdef Entry entry
        cdef bint plain = only_key_fields(selector)
        cdef bint more = False
        cdef bint exact
        cdef Py_ssize_t i = -1
        cdef Listing out
        self.used = ""
        rows = None if selector.nothing else self.candidates(prefix, selector, after, low, high)
        exact = rows is not None and not undone and self.settled(selector)
        if rows is None:
            rows = [] if selector.nothing else self.entries[low:high]
        if undone:
            rows = [e for e in rows if e.key not in undone]
            rows += [e for e in undone.values() if e is not None]
            rows.sort(key=key_of)
        for i in range(PyList_GET_SIZE(rows)):
            entry = <Entry>PyList_GET_ITEM(rows, i)
            if exact or self.selects(selector, plain, entry):
                found.append(entry)
                if limit and PyList_GET_SIZE(found) == limit:
                    rows = self.merged(undone, low, high) if undone else None
                    last = (<Entry>rows[len(rows) - 1]).key if rows else (<Entry>self.entries[high - 1]).key
                    more = last != entry.key
                    break
        out = Listing(found, revision, more, -1)
        out.fetched, out.index = i + 1, self.used
        return out

    cdef bint settled(self, Selector selector) except -1:
        """Whether one index decides a selector: it requires one value of an indexed field or of one label."""
        if len(selector.fields) + len(selector.labels) != 1 or selector.nothing:
            return False
        if selector.fields:
            fields = selector.field_equalities
            return len(fields) == 1 and next(iter(fields)) in self.field_paths
        return len(selector.equalities) == 1

    cdef list candidates(self, str prefix, Selector selector, str after, Py_ssize_t low, Py_ssize_t high):
        """Entries that may match, from the smallest suitable index, in key order;
        None if all must be scanned."""
        cdef dict best = None
        cdef dict group
        cdef list keys
        cdef str key, value
        if not prefix.endswith("/"):  # a key
            return None
        name = selector.field_equalities.get("metadata.name")
        if name is not None:
            entry = self.by_key.get(prefix + name)
            if entry is not None or self.is_leaf(prefix):
                return [entry] if entry is not None and entry.key > after else []
        for field in self.indexed_fields:
            value = selector.field_equalities.get(field)
            if value is not None:
                group = self.field_index(field).groups.get(value, {})
                if best is None or len(group) < len(best):
                    best = group
                    self.used = "f:" + field
        for key, value in selector.equalities:
            group = self.label_index(key).groups.get(value, {})
            if best is None or len(group) < len(best):
                best = group
                self.used = "l:"    # without the label's name, of which there are any number
        if best is None or len(best) > high - low:
            self.used = ""
            return None
        keys = sorted([key for key in best if key > after and key.startswith(prefix)])
        return [best[key] for key in keys]

    cdef bint is_leaf(self, str prefix):
        """Whether objects are directly under this prefix: a namespace, or a cluster-scoped resource."""
        if len(prefix) > len(self.prefix):
            return True
        return bool(self.entries) and "/" not in (<Entry>self.entries[0]).key[len(self.prefix):]

    cdef bint selects(self, Selector selector, bint plain, Entry entry) except -1:
        if selector.nothing:
            return False
        if selector.labels and not selector.matches_labels(entry.get_labels()):
            return False
        if selector.fields:
            fields = self.key_fields(entry.key) if plain else entry.get_fields(self.extract)
            return selector.matches_fields(fields)
        return True

    cdef dict key_fields(self, str key):
        """metadata.name and metadata.namespace, from the key."""
        cdef Py_ssize_t cut = key.rfind("/")
        cdef Py_ssize_t start = len(self.prefix)
        return {"metadata.name": key[cut + 1:], "metadata.namespace": key[start:cut] if cut > start else ""}

    cdef Py_ssize_t lower(self, str key):
        """The position of the first entry whose key is not less than `key`."""
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = PyList_GET_SIZE(self.entries)
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) // 2
            if PyUnicode_Compare((<Entry>PyList_GET_ITEM(self.entries, middle)).key, key) < 0:
                low = middle + 1
            else:
                high = middle
        return low

    cdef dict undo(self, long long at, str prefix, str after):
        """The entries of keys changed since `at` as they were then, None for those that did not exist."""
        cdef Change change
        cdef dict out = {}
        if at < self.oldest:
            raise Compacted(self.oldest)
        for change in reversed(self.ring):
            if change.rev <= at:
                break
            if change.key.startswith(prefix) and change.key > after:
                out[change.key] = change.prev
        return out

    cdef list merged(self, dict undone, Py_ssize_t low, Py_ssize_t high):
        rows = [e for e in self.entries[low:high] if e.key not in undone]
        rows += [e for e in undone.values() if e is not None]
        rows.sort(key=key_of)
        return rows

    cdef Index field_index(self, str field):
        cdef Index index = self.field_indexes.get(field)
        cdef Entry entry
        if index is None:
            index = Index()
            for entry in self.entries:
                index.put(entry, self.field_of(entry, field))
            self.field_indexes[field] = index
        return index

    cdef Index label_index(self, str key):
        """The index on a label; evicts the least recently used one if there are too many."""
        cdef Index index = self.label_indexes.pop(key, None)
        cdef Entry entry
        if index is None:
            if len(self.label_indexes) >= MAX_LABEL_INDEXES:
                del self.label_indexes[next(iter(self.label_indexes))]
            index = Index()
            for entry in self.entries:
                index.put(entry, labels_of(entry).get(key))
        self.label_indexes[key] = index
        return index

    cdef str field_of(self, Entry entry, str field):
        """One field of an entry, not cached, because an index needs it only once."""
        cdef str text
        if entry._fields is not None and entry._fields[0] is self.extract:
            return (<dict>entry._fields[1]).get(field)
        text = read_text(entry.value, entry.head, self.field_paths[field])
        return text if text is not None else extracted(self.extract, entry).get(field)


cdef bint only_key_fields(Selector selector):
    """Whether the field selector uses only fields that are in the key."""
    for requirement in selector.fields:
        if requirement[0] != "metadata.name" and requirement[0] != "metadata.namespace":
            return False
    return True
