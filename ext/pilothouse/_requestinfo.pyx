"""Method and path to request info (apiserver endpoints/request RequestInfoFactory), and query strings."""

from urllib.parse import unquote_to_bytes

from pilothouse.api.identity import RequestInfo

cdef object _Info = RequestInfo
cdef dict _VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
cdef frozenset _NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))
cdef str _HEX = "0123456789abcdefABCDEF"


cdef str _unescape(str text, bint plus):
    """Percent-decode; ValueError on a broken escape, as Go's net/url has it."""
    cdef Py_ssize_t i = text.find("%")
    cdef Py_ssize_t size = len(text)
    if plus and "+" in text:
        text = text.replace("+", " ")
    if i < 0:
        return text
    while i >= 0:
        if i + 2 >= size or text[i + 1] not in _HEX or text[i + 2] not in _HEX:
            raise ValueError(f'invalid URL escape "{text[i:i + 3]}"')
        i = text.find("%", i + 3)
    return unquote_to_bytes(text).decode("utf-8", "replace")


def unescape_path(str path not None):
    """The decoded path; ValueError on a broken escape."""
    return _unescape(path, False)


def parse_query(str query not None):
    """A query string as name -> list of values in order; pairs that cannot be decoded are dropped, as net/url does."""
    cdef dict out = {}
    cdef str pair, name, value
    cdef Py_ssize_t cut
    if not query:
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


def parse(str method not None, str path not None, dict query not None):
    """The RequestInfo of a decoded path. ValueError when a `/watch` path names nothing."""
    cdef list parts, kept
    cdef str verb, prefix, group = "", version, namespace = "", resource = "", name = "", subresource = ""
    cdef Py_ssize_t count
    cdef bint via_prefix = False
    parts = path.strip("/").split("/")
    if len(parts) < 3 or (parts[0] != "api" and parts[0] != "apis"):
        return _Info(path, method.lower())
    prefix = parts[0]
    if prefix == "apis":
        if len(parts) < 4:
            return _Info(path, method.lower())
        group = parts[1]
        version = parts[2]
        kept = parts[3:]
    else:
        version = parts[1]
        kept = parts[2:]
    if kept[0] == "watch" or kept[0] == "proxy":
        if len(kept) < 2:
            raise ValueError("unable to determine kind and namespace from url, " + path)
        verb = kept[0]
        kept = kept[1:]
        via_prefix = True
    else:
        verb = _VERBS.get(method, "")
    if kept[0] == "namespaces" and len(kept) > 1:
        namespace = kept[1]
        if len(kept) > 2 and kept[2] not in _NAMESPACE_SUBRESOURCES:
            kept = kept[2:]
    count = len(kept)
    resource = kept[0]
    if count >= 2:
        name = kept[1]
    if count >= 3 and not via_prefix:
        subresource = kept[2]
    if not name and verb == "get":
        verb = "watch" if wants_watch(query) else "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    return _Info(path, verb, True, prefix, group, version, namespace, resource, subresource, name, tuple(kept))


def wants_watch(dict query not None):
    """Whether `watch` is set: anything but false and 0 is true, an empty value too."""
    cdef list values = query.get("watch")
    if not values:
        return False
    return (<str> values[0]).lower() not in ("false", "0")
