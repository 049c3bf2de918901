# Part of _fieldset.pyx: path elements, their canonical text, order and text in messages; needs Node only.


# Results are cached, because the names of containers, ports and volumes occur again and again. The caches are
# limited in bytes: they keep a number of short texts, and compute longer ones each time.
cdef dict _texts = {}
cdef dict _canonical = {}
DEF MAX_TEXTS = 4096
DEF MAX_KNOWN = 128  # of one list
DEF MAX_TEXT = 128  # of the longest keys of built-in kinds, a topology spread constraint's has 90


cdef str scalar_text(object value):
    """A scalar in a path element: JSON in which < > & are escaped as by Go."""
    cdef PyObject *known
    if type(value) is str and len(<str>value) <= MAX_TEXT:
        known = PyDict_GetItemWithError(_texts, value)
        if known is not NULL:
            return <str>known
        text = text_of(value)
        if len(_texts) >= MAX_TEXTS:
            _texts.clear()
        _texts[value] = text
        return text
    return str(value) if type(value) is int else text_of(value)


cdef str text_of(object value):
    if isinstance(value, str):
        text = _quoted(value)
        if not value.isalnum():
            text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x7f", "\\u007f")
        return text
    if isinstance(value, float) and value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return _dumps(value, sort_keys=True, separators=(",", ":"))


cdef str item_element(Node node, object item):
    """The path element of a list's item; raises FieldError if it cannot have one."""
    cdef list parts
    step()
    if not node.keys:
        if isinstance(item, dict):
            raise FieldError("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise FieldError("not supported: associative list with lists as elements")
        if item is None:
            raise FieldError("associative list without keys has an element that's an explicit null")
        return "v:" + scalar_text(item)
    if item is None:
        raise FieldError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise FieldError("associative list with keys may not have non-map elements")
    if node.beginning is not None:
        value = (<dict>item).get(node.keys[0], _MISSING)
        if value is not _MISSING:
            return keyed(node, value)
    parts = []
    for key in node.keys:
        value = (<dict>item).get(key, _MISSING)
        if value is _MISSING:
            value = node.key_defaults.get(key, _MISSING)
        if value is not _MISSING:
            parts.append(f'"{key}":{scalar_text(value)}')
    if not parts:
        listed = " ".join([scalar_text(key) for key in node.keys])
        raise FieldError(
            f"associative list with keys has an element that omits all key fields [{listed}]"
            " (and doesn't have default values for any key fields)"
        )
    return "k:{" + ",".join(parts) + "}"


cdef str keyed(Node node, object value):
    """The path element of an item with one key. Elements that are the same object have a hash already."""
    cdef PyObject *known
    cdef bint short = type(value) is str and len(<str>value) <= MAX_TEXT
    if short:
        known = PyDict_GetItemWithError(node.known, value)
        if known is not NULL:
            return <str>known
    found = f"{node.beginning}{scalar_text(value)}}}"
    if short:
        if len(node.known) >= MAX_KNOWN:
            node.known.clear()
        node.known[value] = found
    return found


cpdef str canonical_element(str element):
    """The canonical form of a path element from a client; "" for one of an unknown type."""
    cdef PyObject *known
    if is_field(element):
        return element
    known = PyDict_GetItemWithError(_canonical, element)
    if known is not NULL:
        return <str>known
    found = canonical_of(element)
    if len(element) <= MAX_TEXT:
        if len(_canonical) >= MAX_TEXTS:
            _canonical.clear()
        _canonical[element] = found
    return found


def canonical_of(str element):
    if len(element) < 2:
        raise FieldError("key must be 2 characters long:")
    if element[1] != ":":
        raise FieldError(f"missing colon: {element}")
    sort, text = element[0], element[2:]
    try:
        if sort == "v":
            return without_lone_surrogates("v:" + scalar_text(_loads(text)))
        if sort == "k":
            members = _loads(text)
            if not isinstance(members, dict):
                raise FieldError(f"expected object in {element}")
            parts = [f"{scalar_text(name)}:{scalar_text(value)}" for name, value in sorted(members.items())]
            return without_lone_surrogates("k:{" + ",".join(parts) + "}")
        if sort == "i":
            return f"i:{int(text)}"
    except FieldError:
        raise
    except (ValueError, OverflowError, RecursionError) as err:
        raise FieldError(f"parsing key as path element: {err}") from None
    return ""


cdef str without_lone_surrogates(str element):
    """The element as Go reads it, which replaces each of them; nothing else could be written."""
    if element.isascii():
        return element
    return element.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


cpdef tuple sort_key(str element):
    """Sort key of path elements: fields, keys, values, indexes; numbers before texts."""
    return known_order(element) if len(element) <= MAX_TEXT else order_of(element)


cdef Py_ssize_t value_at(const unsigned char *text, Py_ssize_t size) noexcept:
    """Where the value begins in a path element in ASCII that has one key with a text without escapes:
    `k:{"name":"value"}`; 0 for any other one."""
    cdef Py_ssize_t i, found = 0
    cdef int quotes = 0
    if text[0] != b"k" or text[size - 2] != b'"':
        return 0
    for i in range(size):
        if text[i] == b"\\":
            return 0
        if text[i] == b'"':
            quotes += 1
            if quotes == 3:
                found = i + 1
    return found if quotes == 4 else 0


cdef bint comes_before(str one, str other) except -1:
    """Whether a path element that is no field comes before another one.

    PERF: the items of most lists have a name as their only key.
    """
    cdef const unsigned char *a
    cdef const unsigned char *b
    cdef Py_ssize_t at, size
    cdef int found
    if len(one) > 2 and len(other) > 2 and PyUnicode_IS_ASCII(one) and PyUnicode_IS_ASCII(other):
        a = <const unsigned char*>PyUnicode_1BYTE_DATA(one)
        b = <const unsigned char*>PyUnicode_1BYTE_DATA(other)
        at = value_at(a, len(one))
        if at and at == value_at(b, len(other)) and memcmp(a, b, at) == 0:
            size = min(len(one), len(other)) - 2 - at
            found = memcmp(a + at, b + at, size)
            return found < 0 or found == 0 and len(one) < len(other)
    return sort_key(one) < sort_key(other)


def order_of(str element):
    """Raises FieldError for an element that parse() would refuse: a store may hold some."""
    sort, text = element[:1], element[2:]
    try:
        if sort == "f":
            return (0, text)
        if sort == "k":
            return (1, [(name, _rank(value)) for name, value in _loads(text).items()])
        if sort == "v":
            return (2, _rank(_loads(text)))
        return (3, int(text))
    except (ValueError, AttributeError, RecursionError) as err:
        raise FieldError(f"sorting path elements: {err}") from None


cdef object known_order = _lru_cache(maxsize=MAX_TEXTS)(order_of)


def _rank(value):
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (0, value)
    return (1, value) if isinstance(value, str) else (3, _dumps(value))


cpdef str element_text(str element):
    """A path element in the form of messages: `.name`, `[name="c"]`, `[="v"]`, `[0]`."""
    return known_text(element) if len(element) <= MAX_TEXT else shown_element(element)


def shown_element(str element):
    sort, text = element[0], element[2:]
    if sort == "f":
        return "." + text
    if sort == "k":
        return "[" + ",".join([f"{name}={_shown(value)}" for name, value in _loads(text).items()]) + "]"
    return f"[={_shown(_loads(text))}]" if sort == "v" else f"[{text}]"


cdef object known_text = _lru_cache(maxsize=MAX_TEXTS)(shown_element)


def remembered():
    """Number of cached texts, and the longest length that is cached."""
    count = len(_texts) + len(_canonical)
    for known in (known_order, known_text):
        count += known.cache_info().currsize
    return count, MAX_TEXT


def _shown(value):
    """A value as messages show it (structured-merge-diff value.ToString)."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[" + ",".join([_shown(one) for one in value]) + "]"
    if isinstance(value, dict):
        return "".join([f"{name}={_shown(one)}" for name, one in sorted(value.items())])
    return _dumps(value)
