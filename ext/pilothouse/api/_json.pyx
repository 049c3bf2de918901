"""Splices resourceVersion into stored objects, frames served ones as watch events, and reads single members.

A stored value is `{"kind":"K","apiVersion":"V","metadata":{...},...}` without resourceVersion; a served one
has `"resourceVersion":"N",` directly after `"metadata":{`. `head` is the offset of `"metadata"`: an item in a
list of a built-in kind is `{` + value[head:]. Values with another order of members are converted by orjson,
which is slower.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy, strlen

import json

import orjson

from pilothouse.api._gzip cimport drop

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t m)

cdef const char* KIND = b'{"kind":"'
cdef const char* API_VERSION = b',"apiVersion":"'
cdef const char* METADATA = b',"metadata":{'
cdef const char* REVISION = b'"resourceVersion":"'
cdef Py_ssize_t METADATA_LEN = 12     # length of `"metadata":{`
cdef Py_ssize_t REVISION_LEN = 19
DEF RARE = 9                          # offset of the V in it
cdef dict INTERNED = {}               # shares equal label texts between objects
DEF COMMON = 256                      # places of a character from which on it is not rare
DEF MAX_INTERNED = 20000
DEF MAX_INTERNED_LENGTH = 128


cdef uint64_t made = 0                # number of objects made so far


cdef uint64_t newest() noexcept:
    """The number of the newest object."""
    return made


cdef class Encoded:
    """Served bytes of an object, the offset of their `"metadata"`, and their block in compressed lists."""

    def __cinit__(self):
        global made
        made += 1
        self.number = made

    def __dealloc__(self):
        if self.block != NULL:
            drop(self.block)

    def __init__(self, bytes value not None, Py_ssize_t head):
        self.value = value
        self.head = head


# --- a small JSON scanner on offsets; -1 means invalid JSON

cdef Py_ssize_t skip_space(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    while i < n and (s[i] == c' ' or s[i] == c'\n' or s[i] == c'\r' or s[i] == c'\t'):
        i += 1
    return i


cdef const char* seek(
    const char* s, Py_ssize_t n, const char* text, Py_ssize_t size, Py_ssize_t at
) noexcept nogil:
    """The place of a text, NULL if it is absent. `at` is the offset in it of a character that is rare.

    Where it is not rare after all, the rest is searched as any text is.
    """
    cdef const char* end = s + n - size + at + 1
    cdef int misses = 0
    s += at
    while s < end:
        s = <const char*>memchr(s, text[at], end - s)
        if s == NULL or memcmp(s - at, text, size) == 0:
            return NULL if s == NULL else s - at
        s += 1
        misses += 1
        if misses == COMMON:
            return <const char*>memmem(s - at, end - s + size - 1, text, size)
    return NULL


cdef Py_ssize_t skip_string(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """The offset after the string whose opening quote is at `i`."""
    cdef const char* end
    cdef Py_ssize_t j, k
    j = i + 1
    while j < n:
        end = <const char*>memchr(s + j, c'"', n - j)
        if end == NULL:
            return -1
        j = end - s
        k = j
        while k > i + 1 and s[k - 1] == c'\\':
            k -= 1
        if (j - k) % 2 == 0:
            return j + 1
        j += 1
    return -1


cdef Py_ssize_t skip_value(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """The offset after the value that starts at `i`; brackets are counted, not matched."""
    cdef Py_ssize_t depth = 0
    while i < n:
        if s[i] == c'"':
            i = skip_string(s, i, n)
            if i < 0:
                return -1
            if depth == 0:
                return i
            continue
        if s[i] == c'{' or s[i] == c'[':
            depth += 1
        elif s[i] == c'}' or s[i] == c']':
            if depth == 0:
                return i
            depth -= 1
            if depth == 0:
                return i + 1
        elif s[i] == c',' and depth == 0:
            return i
        i += 1
    return -1


cdef Py_ssize_t find_member(const char* s, Py_ssize_t i, Py_ssize_t n, const char* name) noexcept nogil:
    """The offset of a member's value in the object whose content starts at `i`; -1 if it is absent."""
    cdef Py_ssize_t size = strlen(name)
    cdef Py_ssize_t start, end
    while True:
        i = skip_space(s, i, n)
        if i >= n or s[i] != c'"':
            return -1
        start = i + 1
        end = skip_string(s, i, n)
        if end < 0:
            return -1
        i = skip_space(s, end, n)
        if i >= n or s[i] != c':':
            return -1
        i = skip_space(s, i + 1, n)
        if end - 1 - start == size and memcmp(s + start, name, size) == 0:
            return i
        i = skip_value(s, i, n)
        if i < 0:
            return -1
        i = skip_space(s, i, n)
        if i >= n or s[i] != c',':
            return -1
        i += 1


cdef Py_ssize_t find_head(const char* s, Py_ssize_t n) noexcept nogil:
    """The offset of `"metadata"` in a value with the usual member order; -1 for any other order."""
    cdef Py_ssize_t i
    if n < 9 or memcmp(s, KIND, 9) != 0:
        return -1
    i = skip_string(s, 8, n)
    if i < 0 or n - i < 15 or memcmp(s + i, API_VERSION, 15) != 0:
        return -1
    i = skip_string(s, i + 14, n)
    if i < 0 or n - i < 14 or memcmp(s + i, METADATA, 13) != 0:
        return -1
    return i + 1


# --- resourceVersion

cdef bytes splice_at(bytes value, long long revision, Py_ssize_t* head):
    """The served bytes of a stored value; sets `head`. Raises ValueError if the value is not an object."""
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t at, room
    cdef char text[48]
    cdef bytes out
    cdef char* o
    head[0] = find_head(s, n)
    if head[0] < 0:
        return splice_foreign(value, revision, head)
    at = head[0] + METADATA_LEN
    if seek(s + at, n - at, REVISION, REVISION_LEN - 1, RARE) != NULL and (
        find_member(s, at, n, b"resourceVersion") >= 0
    ):
        return splice_foreign(value, revision, head)
    room = snprintf(
        text, sizeof(text), b'"resourceVersion":"%lld"%s', revision, b"" if s[at] == c'}' else b","
    )
    out = PyBytes_FromStringAndSize(NULL, n + room)
    o = PyBytes_AS_STRING(out)
    memcpy(o, s, at)
    memcpy(o + at, text, room)
    memcpy(o + at + room, s + at, n - at)
    return out


cdef bytes dump(dict obj):
    """JSON, also of values that are nested more deeply than orjson's limit."""
    try:
        return orjson.dumps(obj)
    except TypeError:
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


cdef bytes splice_foreign(bytes value, long long revision, Py_ssize_t* head):
    """Like splice_at, for a value with another member order or with its own resourceVersion."""
    obj = orjson.loads(value)
    if not isinstance(obj, dict):
        raise ValueError("the stored value is no JSON object")
    metadata = obj.pop("metadata", None) or {}
    if not isinstance(metadata, dict):
        raise ValueError("the stored value's metadata is no JSON object")
    metadata.pop("resourceVersion", None)
    ordered = {"kind": obj.pop("kind", ""), "apiVersion": obj.pop("apiVersion", "")}
    ordered["metadata"] = {"resourceVersion": str(revision), **metadata}
    out = dump({**ordered, **obj})
    head[0] = find_head(PyBytes_AS_STRING(out), PyBytes_GET_SIZE(out))
    if head[0] < 0:
        raise ValueError("the stored value's kind or apiVersion is no string")
    return out


cdef bytes revised(bytes served, Py_ssize_t head, long long revision):
    """Replace the resourceVersion in served bytes."""
    return revised_at(PyBytes_AS_STRING(served), PyBytes_GET_SIZE(served), head, revision)


cdef bytes revised_text(const char* s, Py_ssize_t n, long long revision, Py_ssize_t* head):
    """Like revised(), of a text whose `head` is not known: it is set. None where the text is no served value.
    """
    head[0] = find_head(s, n)
    if head[0] < 0 or not has_revision(s, n, head[0] + METADATA_LEN):
        return None
    return revised_at(s, n, head[0], revision)


cdef inline bint has_revision(const char* s, Py_ssize_t n, Py_ssize_t at) noexcept nogil:
    return n - at >= REVISION_LEN and memcmp(s + at, REVISION, REVISION_LEN) == 0


cdef bytes revised_at(const char* s, Py_ssize_t n, Py_ssize_t head, long long revision):
    cdef Py_ssize_t at = head + METADATA_LEN + REVISION_LEN
    cdef Py_ssize_t end = at
    cdef Py_ssize_t room
    cdef char text[24]
    cdef bytes out
    cdef char* o
    while end < n and s[end] != c'"':
        end += 1
    room = snprintf(text, sizeof(text), b"%lld", revision)
    out = PyBytes_FromStringAndSize(NULL, at + room + n - end)
    o = PyBytes_AS_STRING(out)
    memcpy(o, s, at)
    memcpy(o + at, text, room)
    memcpy(o + at + room, s + end, n - end)
    return out


def metadata_of(bytes served not None, Py_ssize_t head):
    """The metadata of served bytes, which are named at the offset `head`.

    Returns their JSON with null in place of managedFields, the JSON of these, b"" for none, and the offset
    after the metadata. ValueError for other bytes.
    """
    cdef const char* s = PyBytes_AS_STRING(served)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(served)
    cdef Py_ssize_t start = head + METADATA_LEN - 1
    cdef Py_ssize_t fields, after, end
    if head < 0 or start >= n:
        raise ValueError("not a served value")
    fields = find_member(s, start + 1, n, b"managedFields")
    after = skip_value(s, fields, n) if fields >= 0 else start
    # Where the rest of the metadata is to be read on: inside of the object, whose end is yet to come.
    end = end_of_object(s, after if fields >= 0 else start + 1, n)
    if after < 0 or end < 0:
        raise ValueError("not a served value")
    if fields < 0:
        return served[start:end], b"", end
    return served[start:fields] + b"null" + served[after:end], served[fields:after], end


cdef Py_ssize_t end_of_object(const char* s, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """The offset after the object inside of which `i` is: before a comma, a member or the end; -1 if invalid.
    """
    while 0 <= i < n:
        if s[i] == c'}':
            return i + 1
        if s[i] == c',' or s[i] == c':' or s[i] == c' ':
            i += 1
        else:
            i = skip_value(s, i, n)
            if 0 <= i < n and s[i] != c':' and s[i] != c',' and s[i] != c'}':
                return -1
    return -1


def with_metadata(bytes served not None, Py_ssize_t head, Py_ssize_t end, bytes metadata not None):
    """The stored form of served bytes with other metadata, which is JSON without a resourceVersion; `end` is
    the offset after what they have."""
    return served[:head + METADATA_LEN - 1] + metadata + served[end:]


def holds(bytes value not None, bytes text not None):
    """Whether a text is in a value. For JSON, where most letters of a text are frequent, `in` is slower."""
    return contains(value, text)


cdef bint contains(bytes value, bytes text) noexcept:
    return memmem(
        PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
    ) != NULL


def splice(bytes value not None, long long revision):
    """The served bytes of a stored value; raises ValueError if it is not an object."""
    cdef Py_ssize_t head
    return splice_at(value, revision, &head)


def encoded(bytes value not None, long long revision):
    """Like splice(), with the offset of `"metadata"`, which list bodies need."""
    cdef Py_ssize_t head
    cdef bytes out = splice_at(value, revision, &head)
    return Encoded(out, head)


def strip(bytes served not None):
    """The stored form of served bytes: without resourceVersion."""
    cdef const char* s = PyBytes_AS_STRING(served)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(served)
    cdef Py_ssize_t head = find_head(s, n)
    cdef Py_ssize_t at = head + METADATA_LEN
    cdef Py_ssize_t end
    cdef bytes made
    if head < 0 or not has_revision(s, n, at):
        raise ValueError("not a served value")
    end = skip_string(s, at + REVISION_LEN - 1, n)
    if end < 0:
        raise ValueError("not a served value")
    if end < n and s[end] == c',':
        end += 1
    made = PyBytes_FromStringAndSize(NULL, n - (end - at))
    memcpy(PyBytes_AS_STRING(made), s, at)
    memcpy(PyBytes_AS_STRING(made) + at, s + end, n - end)
    return made


def head_of(bytes value not None):
    """The offset of `"metadata"`; raises ValueError if the members are in another order."""
    cdef Py_ssize_t head = find_head(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if head < 0:
        raise ValueError("kind, apiVersion and metadata do not come first")
    return head


# --- labels

cdef str read_string(const char* s, Py_ssize_t start, Py_ssize_t end):
    """The text of the JSON string in [start, end), including its quotes; short texts are shared."""
    cdef str text
    if memchr(s + start, c'\\', end - start) == NULL:
        text = PyUnicode_DecodeUTF8(s + start + 1, end - start - 2, b"replace")
    else:
        try:
            text = orjson.loads(s[start:end])
        except ValueError:
            text = s[start + 1:end - 1].decode("utf-8", "replace")
    if len(text) > MAX_INTERNED_LENGTH:
        return text
    if len(INTERNED) >= MAX_INTERNED:
        INTERNED.clear()
    return INTERNED.setdefault(text, text)


def remembered():
    """Number of shared texts, and the longest length that is shared."""
    return len(INTERNED), MAX_INTERNED_LENGTH


cdef dict read_labels(bytes value, Py_ssize_t head):
    """metadata.labels of a served value."""
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t i = find_member(s, head + METADATA_LEN, n, b"labels")
    cdef Py_ssize_t end
    cdef dict labels = {}
    cdef str key
    if i < 0 or s[i] != c'{':
        return labels
    i += 1
    while True:
        i = skip_space(s, i, n)
        if i >= n or s[i] != c'"':
            return labels
        end = skip_string(s, i, n)
        if end < 0:
            return labels
        key = read_string(s, i, end)
        i = skip_space(s, end, n)
        if i >= n or s[i] != c':':
            return labels
        i = skip_space(s, i + 1, n)
        if i < n and s[i] == c'"':
            end = skip_string(s, i, n)
            if end < 0:
                return labels
            labels[key] = read_string(s, i, end)
        else:
            end = skip_value(s, i, n)
            if end < 0:
                return labels
        i = skip_space(s, end, n)
        if i < n and s[i] == c',':
            i += 1


def labels(bytes value not None, Py_ssize_t head):
    """metadata.labels of a served value, read without decoding the rest."""
    return read_labels(value, head)


# --- single members

cdef Py_ssize_t locate(const char* s, Py_ssize_t i, Py_ssize_t n, list path):
    """The offset of the value at a path of member names, in the object whose content starts at `i`, or -1."""
    cdef bytes name
    for name in path:
        if i < 0 or i >= n:
            return -1
        if s[i] == c'{':
            i += 1
        elif s[i] != c'"':
            return -1
        i = find_member(s, i, n, PyBytes_AS_STRING(name))
    return i


cdef str read_text(bytes value, Py_ssize_t head, list path):
    """The text at a path in a served value; None if it is absent or not a text."""
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t i = locate(s, head, n, path)
    cdef Py_ssize_t end
    if i < 0 or i >= n or s[i] != c'"':
        return None
    end = skip_string(s, i, n)
    return None if end < 0 else read_string(s, i, end)


def text(bytes value not None, path not None):
    """The text at a path of member names, read without decoding the rest; None if there is none."""
    return read_text(value, 0, [name.encode() for name in path])


# --- watch events

cdef bytes frame(const char* kind, bytes value):
    """`{"type":"KIND","object":VALUE}` and a line feed."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t size = strlen(kind)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n + size + 22)
    cdef char* o = PyBytes_AS_STRING(out)
    memcpy(o, b'{"type":"', 9)
    memcpy(o + 9, kind, size)
    memcpy(o + 9 + size, b'","object":', 11)
    memcpy(o + 20 + size, PyBytes_AS_STRING(value), n)
    memcpy(o + 20 + size + n, b"}\n", 2)
    return out


def event(str kind not None, bytes value not None):
    """A watch event in JSON with a line feed."""
    cdef bytes text = kind.encode()
    return frame(text, value)


class JsonEncoder:
    """Frames watch events for objects that are served as they are stored.

    `rest` is what follows the metadata in an empty object of the kind, as in a bookmark (`,"spec":{}`).
    """

    key = "json"

    def __init__(self, kind: str, api_version: str, rest: bytes = b"") -> None:
        self.head = orjson.dumps({"kind": kind, "apiVersion": api_version}).removesuffix(b"}")
        self.rest = rest

    def encode(self, kind: str, value: bytes, entry: object) -> bytes:
        """The frame of an event; `entry` is not needed."""
        return event(kind, value)

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """The frame of a BOOKMARK event."""
        metadata = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        value = b"".join((self.head, b',"metadata":', orjson.dumps(metadata), self.rest, b"}"))
        return event("BOOKMARK", value)
