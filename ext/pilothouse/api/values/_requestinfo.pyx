"""Parses method and path to request info (apiserver endpoints/request RequestInfoFactory),
and query strings; looks for headers of impersonation."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8

from sys import intern

from pilothouse.api.values.identity import RequestInfo

cdef object _Info = RequestInfo
cdef dict _VERBS = {
    "POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete",
}
cdef frozenset _NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))
DEF MAX_PARAMETERS = 10000  # net/url refuses queries with more
DEF MAX_PARTS = 32  # path segments that are split; the last one may contain further slashes


cdef inline int _hex(unsigned char c) noexcept nogil:
    """The value of a hexadecimal digit, -1 for anything else."""
    if b"0" <= c <= b"9":
        return c - 48
    if b"a" <= (c | 0x20) <= b"f":
        return (c | 0x20) - 87
    return -1


cdef str _unescape(str text, bint plus):
    """Percent-decode; raises ValueError for an invalid escape, as Go's net/url does."""
    cdef bytes given, out
    cdef const unsigned char *s
    cdef char *o
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t size
    cdef int high, low
    if "%" not in text:
        return text.replace("+", " ") if plus else text
    given = text.encode()
    s = given
    size = len(given)
    out = PyBytes_FromStringAndSize(NULL, size)
    o = PyBytes_AS_STRING(out)
    while i < size:
        if s[i] == b"%":
            high = _hex(s[i + 1]) if i + 1 < size else -1
            low = _hex(s[i + 2]) if i + 2 < size else -1
            if high < 0 or low < 0:
                raise ValueError(f'invalid URL escape "{given[i:i + 3].decode("utf-8", "replace")}"')
            o[at] = <char>(high * 16 + low)
            i += 3
        else:
            o[at] = b" " if plus and s[i] == b"+" else s[i]
            i += 1
        at += 1
    return PyUnicode_DecodeUTF8(o, at, "replace")


def unescape_path(str path not None):
    """The decoded path; raises ValueError for an invalid escape."""
    return _unescape(path, False)


def parse_query(str query not None):
    """Parse a query string to name -> list of values in order;
    drops pairs that cannot be decoded, as net/url does.

    A query with more than 10,000 parameters counts as empty, as in net/url.
    """
    cdef dict out = {}
    cdef str pair, name, value
    cdef Py_ssize_t cut
    if not query or query.count("&") >= MAX_PARAMETERS:
        return out
    for pair in query.split("&"):
        if not pair or ";" in pair:
            continue
        cut = pair.find("=")
        try:
            if cut < 0:
                name, value = _unescape(pair, True), ""
            else:
                name, value = _unescape(pair[:cut], True), _unescape(pair[cut + 1:], True)
        except ValueError:
            continue
        if name in out:
            (<list> out[name]).append(value)
        else:
            out[name] = [value]
    return out


class NoRequestInfo(ValueError):
    """A path that does not tell what a request is about; the text is upstream's."""


def parse(str method not None, str path not None, dict query not None):
    """The RequestInfo of a decoded path. Raises NoRequestInfo if a `/watch` path names no resource."""
    cdef list parts
    cdef str verb, prefix, group = "", version, namespace = "", resource, name = "", subresource = ""
    cdef Py_ssize_t count, at
    cdef bint via_prefix = False
    parts = path.strip("/").split("/", MAX_PARTS)
    count = len(parts)
    prefix = parts[0]
    if prefix == "api":
        at = 2                        # the part after group and version
    elif prefix == "apis":
        at = 3
    else:
        at = count
    if count < 3 or at >= count:
        return _Info(path, method.lower())
    version = parts[at - 1]
    if at == 3:
        group = parts[1]
    if parts[at] == "watch" or parts[at] == "proxy":
        if at + 1 == count:
            raise NoRequestInfo("unable to determine kind and namespace from url, " + path)
        verb = parts[at]
        at += 1
        via_prefix = True
    else:
        verb = _VERBS.get(method, "")
    if parts[at] == "namespaces" and count > at + 1:
        namespace = parts[at + 1]
        if count > at + 2 and parts[at + 2] not in _NAMESPACE_SUBRESOURCES:
            at += 2
    resource = parts[at]
    if count > at + 1:
        name = parts[at + 1]
    if count > at + 2 and not via_prefix:
        subresource = parts[at + 2]
    if not name and verb == "get":
        verb = "watch" if wants_watch(query) else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    parts = parts[at:]
    if verb == "watch":               # it stays, and others like it: they share these texts
        group, version = intern(group), intern(version)
        namespace, resource = intern(namespace), intern(resource)
        parts = [intern(part) for part in parts]
    return _Info(
        path, verb, True, prefix, group, version, namespace, resource, subresource, name, tuple(parts)
    )


def impersonates(dict headers not None):
    """Whether a request has a header by which it acts as somebody else. PERF: asked of every request."""
    cdef str name
    for name in headers:
        if name and name[0] == u"i" and name.startswith("impersonate-"):
            return True
    return False


def wants_watch(dict query not None):
    """Whether `watch` is set: anything but `false` and `0` is true, also an empty value."""
    cdef list values = query.get("watch")
    if not values:
        return False
    return (<str> values[0]).lower() not in ("false", "0")
