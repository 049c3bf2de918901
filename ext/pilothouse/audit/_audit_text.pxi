# Texts and times of audit events in JSON, and their pieces, which become one bytes object.
# Included by _audit.pyx.

cdef enum:
    MOST = 64      # pieces of one event: there are about 45
    MICROS = 27    # characters of a MicroTime

cdef bint PLAIN[256]   # bytes that stand in a JSON text as they are; 0xe2 may begin U+2028


cdef void _learn_plain() noexcept:
    cdef int i
    for i in range(256):
        PLAIN[i] = i >= 0x20 and i not in (0x22, 0x5c, 0x26, 0x3c, 0x3e, 0xe2)


_learn_plain()

cdef dict _SHORT = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", 0x22: b'\\"', 0x5c: b"\\\\"}


cdef bytes _escaped(str text):
    """A JSON text without its quotes, as Go's encoder writes it: nothing in it looks like markup."""
    cdef bytes data = text.encode("utf-8", "replace")
    cdef bytearray out = bytearray()
    cdef Py_ssize_t i, size = len(data)
    cdef unsigned char c
    for i in range(size):
        c = data[i]
        if PLAIN[c]:
            out.append(c)
        elif c in _SHORT:
            out += _SHORT[c]
        elif c != 0xe2:
            out += b"\\u%04x" % c
        else:
            out.append(c)
    if b"\xe2\x80" in out:
        out = out.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return bytes(out)


cdef void _digits(char* at, int value, int count) noexcept:
    cdef int i
    for i in range(count - 1, -1, -1):
        at[i] = <char>(48 + value % 10)
        value //= 10


cdef char _second[20]
cdef long long _second_of = -1


cdef void _write_micros(char* at, long long nanoseconds) noexcept:
    """A time as a MicroTime in UTC. PERF: the text of the last second is kept; most times fall into it."""
    global _second_of
    cdef long long seconds = nanoseconds // 1000000000
    if seconds != _second_of:
        _write_second(_second, seconds)
        _second_of = seconds
    memcpy(at, _second, 20)
    _digits(at + 20, <int>(nanoseconds - seconds * 1000000000) // 1000, 6)
    at[26] = c'Z'


cdef void _write_second(char* at, long long seconds) noexcept:
    """The text of a time up to the point behind its seconds.

    The date is computed by Howard Hinnant's algorithm (civil_from_days); it holds from 1970 on.
    """
    cdef long long days = seconds // 86400
    cdef int rest = <int>(seconds % 86400)
    cdef long long z = days + 719468
    cdef long long era = z // 146097
    cdef int doe = <int>(z - era * 146097)
    cdef int yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    cdef int doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    cdef int mp = (5 * doy + 2) // 153
    cdef int month = mp + 3 if mp < 10 else mp - 9
    cdef int year = yoe + <int>era * 400 + (1 if month <= 2 else 0)
    _digits(at, year, 4)
    at[4] = c'-'
    _digits(at + 5, month, 2)
    at[7] = c'-'
    _digits(at + 8, doy - (153 * mp + 2) // 5 + 1, 2)
    at[10] = c'T'
    _digits(at + 11, rest // 3600, 2)
    at[13] = c':'
    _digits(at + 14, rest % 3600 // 60, 2)
    at[16] = c':'
    _digits(at + 17, rest % 60, 2)
    at[19] = c'.'


def micros(long long nanoseconds):
    """A time, in nanoseconds since the epoch, as a MicroTime."""
    cdef char out[MICROS]
    _write_micros(out, nanoseconds)
    return out[:MICROS].decode("ascii")


def text(str value not None):
    """A JSON text as Go's encoder writes it."""
    return b'"' + _escaped(value) + b'"'


cdef struct Pieces:
    const char* at[MOST]
    Py_ssize_t size[MOST]
    int count
    Py_ssize_t total


cdef inline void _add(Pieces* out, const char* at, Py_ssize_t size) noexcept:
    if size and out.count < MOST:
        out.at[out.count] = at
        out.size[out.count] = size
        out.count += 1
        out.total += size


cdef inline void _literal(Pieces* out, const char* at) noexcept:
    _add(out, at, strlen(at))


cdef inline void _raw(Pieces* out, bytes data) noexcept:
    _add(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef int _text(Pieces* out, str value, list kept) except -1:
    """Add a text without its quotes. What has to be escaped is a new object, which `kept` holds."""
    cdef Py_ssize_t size = 0, i
    cdef const char* at = NULL
    cdef bytes escaped
    try:
        at = PyUnicode_AsUTF8AndSize(value, &size)
    except UnicodeEncodeError:
        size = -1
    for i in range(size):
        if not PLAIN[<unsigned char>at[i]]:
            size = -1
            break
    if size < 0:
        escaped = _escaped(value)
        kept.append(escaped)
        _raw(out, escaped)
    else:
        _add(out, at, size)
    return 0


cdef inline int _member(Pieces* out, const char* name, str value, list kept) except -1:
    """Add a text and its quotes behind `name`, unless the text is empty."""
    if value:
        _add(out, name, strlen(name))
        _text(out, value, kept)
        _literal(out, b'"')
    return 0


cdef bytes _joined(Pieces* pieces):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, pieces.total)
    cdef char* at = PyBytes_AS_STRING(out)
    cdef int i
    for i in range(pieces.count):
        memcpy(at, pieces.at[i], pieces.size[i])
        at += pieces.size[i]
    return out
