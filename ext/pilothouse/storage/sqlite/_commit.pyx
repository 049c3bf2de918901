"""One commit of the embedded store: the conditions of its writes, its rows, the answers and events.

A statement gives up the interpreter lock once, however many rows it has, so one inserts many.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE

from pilothouse.storage._pairs cimport KeyValue, Op, StorageEvent, event, pair

from pilothouse.storage.interface import KeyExists, RevisionConflict, StorageError
from pilothouse.storage.sqlite import file as sqlite_file

cdef int BITS = sqlite_file.BITS

cdef enum:
    ROWS = 64                         # rows of one INSERT
    ROW_BYTES = 8192                  # of the log for a row: a page of the table, and one of the index

cdef tuple INSERTS = tuple(
    "INSERT INTO history (id, key, created, prev, expires, value) VALUES "
    + ",".join(["(?,?,?,nullif(?,0),?,?)"] * rows)
    for rows in range(ROWS + 1)
)
cdef tuple INSERTS_WITH_AUTHORS = tuple(
    "INSERT INTO history (id, key, created, prev, expires, author, value) VALUES "
    + ",".join(["(?,?,?,nullif(?,0),?,?,?)"] * rows)
    for rows in range(ROWS + 1)
)


cdef inline object copied(bytes value):
    return PyByteArray_FromStringAndSize(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


@cython.freelist(64)
cdef class Head:
    """A key: the id of its newest row, 0 when it is not there, and the revision of its creation."""

    cdef long long row, created


cdef Head GONE = Head()


@cython.no_gc
@cython.freelist(64)
cdef class Row:
    """A row of a commit; `prev` is the id of the row that it replaces, 0 for none."""

    cdef long long id, prev
    cdef bint deleted
    cdef KeyValue kv
    cdef bytes author


@cython.freelist(64)
cdef class WriteJob:
    """Writes that are accepted or refused together; `future` gets the revision that they share when `many`,
    else each has its own and the KeyValue of the last one is the answer.

    accepted: the time in Unix seconds from which the operations' ttl counts.
    need_last: the answer shows the value that is deleted.
    """

    cdef list ops
    cdef object future
    cdef double accepted
    cdef bint many, need_last
    # The outcome:
    cdef long long revision
    cdef Py_ssize_t first, last       # its rows as a slice
    cdef Op misfit                    # the operation that did not fit, None when the write is accepted
    cdef long long found              # and the id of the key's row

    def __init__(
        self, list ops not None, future, double accepted=0, *, bint many=False, bint need_last=False
    ):
        cdef Op op
        for op in ops:
            if not op.key.isascii():
                op.key.encode()  # raises an error for what is no text, before others share the commit
        self.ops = ops
        self.future = future
        self.accepted = accepted
        self.many = many
        self.need_last = need_last

    @property
    def deletes(self):
        """Whether the write deletes the key; a last value may be written before."""
        return not self.ops or (<Op?>self.ops[PyList_GET_SIZE(self.ops) - 1]).value is None


def only_updates(list writes not None, str prefix not None):
    """Whether there are writes, and each only replaces the value of one key that begins with a prefix."""
    cdef WriteJob write
    cdef Op op
    for write in writes:
        if write.many or PyList_GET_SIZE(write.ops) != 1:
            return False
        op = write.ops[0]
        if op.value is None or not op.expect or not op.key.startswith(prefix):
            return False
    return PyList_GET_SIZE(writes) > 0


cdef class Batch:
    """The outcome of one commit.

    `complete` tells that the events carry the previous values; `began` is the time at which the commit
    began, by time.perf_counter(); `writes` are those of the group that was committed or refused, 0 for other
    answers; `written` are the bytes that it adds to the write-ahead log, roughly.
    """

    cdef readonly long long revision, written
    cdef readonly list events
    cdef list answers
    cdef readonly bint complete
    cdef readonly Py_ssize_t writes
    cdef public double began

    def __init__(self, long long revision):
        self.revision = revision
        self.events = []
        self.answers = []
        self.complete = True

    def refuse(self, list writes not None, failure):
        """Answer writes of the group with an error."""
        cdef WriteJob write
        for write in writes:
            self.answers.append((write.future, failure))
        self.writes += PyList_GET_SIZE(writes)

    def reply(self, future, result):
        """Answer someone who did not write."""
        self.answers.append((future, result))

    def answer(self):
        """Give everybody the answer, on the loop's thread; those who have left get none."""
        for future, result in self.answers:
            if future.done():
                continue
            if isinstance(result, StorageError):
                future.set_exception(result)
            else:
                future.set_result(result)


cdef class KeyHeads:
    """The newest row of every key, and the newest revision.

    authors: the file has a column for who has written a row. on_demand: the rows of the keys that a commit
    writes are read from the file each time, so that no memory is taken for keys.
    """

    cdef dict known                   # key -> Head
    cdef readonly long long revision
    cdef bint authors, on_demand

    def __cinit__(self, bint authors=False, bint on_demand=False):
        self.known = {}
        self.revision = 1
        self.authors = authors
        self.on_demand = on_demand

    def load(self, rows, long long revision):
        """Take over what a file holds: (id, key, created, expires) of every key that is there.

        Returns (expires, key, revision) of those that expire.
        """
        cdef list expiring = []
        cdef long long row
        cdef Head head
        self.known.clear()
        self.revision = revision
        for row, key, created, expires in rows:
            if not self.on_demand:
                head = Head()
                head.row = row
                head.created = created
                self.known[key] = head
            if expires:
                expiring.append((expires, key, row >> BITS))
        return expiring

    cdef look_up(self, cursor, list writes):
        """Read the newest rows of the keys that are written."""
        cdef WriteJob write
        cdef Op op
        cdef Head head
        self.known.clear()
        keys = {op.key for write in writes for op in write.ops}
        for row, key, created, _ in sqlite_file.read_heads_of(cursor, list(keys)):
            head = Head()
            head.row = row
            head.created = created
            self.known[key] = head

    def commit(self, cursor, list writes not None, bint complete):
        """Commit all writes whose conditions hold in one durable transaction; each sees the effect of those
        before it. With `complete` the events carry the previous values.

        An error of the database changes nothing here.
        """
        cdef Plan plan = Plan()
        cdef WriteJob write
        cdef Head head
        plan.heads = self
        plan.writes = writes
        plan.complete = complete
        plan.revision = self.revision
        plan.changed = {}
        plan.rows = []
        if self.on_demand:
            self.look_up(cursor, writes)
        for write in writes:
            plan.add(write)
        before = plan.read_before(cursor)
        plan.insert(cursor)
        self.revision = plan.revision
        for key, head in plan.changed.items():
            if head.row:
                self.known[key] = head
            else:
                self.known.pop(key, None)
        return plan.batch(before)


cdef class Plan:
    """A commit in preparation."""

    cdef KeyHeads heads
    cdef list writes, rows
    cdef bint complete
    cdef long long revision
    cdef dict changed                 # key -> Head

    cdef Head head(self, str key):
        """The state of a key after the writes that are planned."""
        found = self.changed.get(key)
        if found is None:
            found = self.heads.known.get(key, GONE)
        return <Head>found

    cdef add(self, WriteJob write):
        """Add the rows of a write whose conditions hold."""
        cdef Op op
        cdef Head head
        cdef Row row
        cdef long long revision = self.revision + 1
        cdef long long place = 0
        write.misfit = None
        for op in write.ops:
            if op.expect is not None:
                head = self.head(op.key)
                if op.expect != head.row >> BITS:
                    write.misfit = op
                    write.found = head.row
                    return
        write.first = PyList_GET_SIZE(self.rows)
        for op in write.ops:
            head = self.head(op.key)
            if op.value is not None or head.row:
                row = Row()
                row.id = (revision << BITS | place) if write.many else (revision + place) << BITS
                row.prev = head.row
                row.deleted = op.value is None
                row.author = op.author
                if row.deleted:
                    row.kv = pair(op.key, b"", row.id >> BITS, 0, 0)
                    self.changed[op.key] = GONE
                else:
                    row.kv = self.put(op, row.id >> BITS, head.created or revision, write.accepted)
                    head = Head()
                    head.row = row.id
                    head.created = row.kv.create
                    self.changed[op.key] = head
                self.rows.append(row)
                self.revision = row.id >> BITS
            place += 1
        write.last = PyList_GET_SIZE(self.rows)
        write.revision = self.revision

    cdef KeyValue put(self, Op op, long long revision, long long created, double accepted):
        """The pair that an operation writes."""
        cdef long long due = <long long>((accepted + op.ttl) * 1000) if op.ttl else 0
        return pair(op.key, op.value, revision, created, due)

    cdef dict read_before(self, cursor):
        """The previous rows that answers and events show, by id."""
        cdef WriteJob write
        cdef Row row
        cdef set wanted = set()
        for write in self.writes:
            if write.misfit is not None:
                if write.found:
                    wanted.add(write.found)
            elif write.need_last and write.last > write.first and not self.complete:
                row = self.rows[write.last - 1]
                if row.prev:
                    wanted.add(row.prev)
        if self.complete:
            for row in self.rows:
                if row.prev:
                    wanted.add(row.prev)
        if not wanted:
            return None
        found = {row.id: row.kv for row in self.rows if row.id in wanted}
        missing = [id for id in wanted if id not in found]
        if missing:
            found.update(sqlite_file.read_rows(cursor, missing))
        return found

    cdef insert(self, cursor):
        cdef Py_ssize_t start, rows = PyList_GET_SIZE(self.rows)
        if 0 < rows <= ROWS:
            self.insert_some(cursor, 0, rows)
        elif rows:
            cursor.execute("BEGIN IMMEDIATE")
            for start in range(0, rows, ROWS):
                self.insert_some(cursor, start, min(start + ROWS, rows))
            cursor.execute("COMMIT")

    cdef insert_some(self, cursor, Py_ssize_t first, Py_ssize_t last):
        cdef list values = []
        cdef Py_ssize_t at
        cdef Row row
        cdef KeyValue kv
        for at in range(first, last):
            row = self.rows[at]
            kv = row.kv
            values.append(row.id)
            values.append(kv.key)
            values.append(kv.create)
            values.append(row.prev)
            values.append(kv.lease)
            if self.heads.authors:
                values.append(copied(row.author) if row.author else None)
            # PERF: sqlite3 looks for adapters of None and of bytes, but not of bytearray.
            values.append(None if row.deleted else copied(kv.value))
        cursor.execute((INSERTS_WITH_AUTHORS if self.heads.authors else INSERTS)[last - first], values)

    cdef Batch batch(self, dict before):
        """The outcome, once the rows are written."""
        cdef Batch batch = Batch(self.revision)
        cdef WriteJob write
        cdef Row row
        cdef KeyValue kv, prev
        batch.complete = self.complete
        batch.writes = PyList_GET_SIZE(self.writes)
        for row in self.rows:
            kv, prev = row.kv, None
            batch.written += ROW_BYTES + PyBytes_GET_SIZE(kv.value)
            if row.prev:
                if before is not None:
                    prev = before.get(row.prev)
                if prev is None:
                    prev = pair(kv.key, b"", row.prev >> BITS, 0, 0)
                if row.deleted:
                    kv = pair(kv.key, prev.value, kv.mod, prev.create, 0)
            batch.events.append(event(row.deleted, kv, prev))
        for write in self.writes:
            batch.answers.append((write.future, self.answer(write, batch.events, before)))
        return batch

    cdef answer(self, WriteJob write, list events, dict before):
        """The answer to a write: its revision, a pair, or why it was refused."""
        if write.misfit is not None:
            current = before.get(write.found) if write.found else None
            if write.misfit.expect == 0 and current is not None and not write.many:
                return KeyExists(current)
            return RevisionConflict(write.misfit.key, current)
        if write.many:
            return write.revision
        return (<StorageEvent>events[write.last - 1]).kv if write.last > write.first else None
