"""Sets of field paths for managed fields (structured-merge-diff fieldpath and typed).

A set is what FieldsV1 is in JSON: nested dicts whose keys are path elements (`f:name`, `k:{...}`, `v:...`, `i:...`).
An element is a member of the set when its dict is empty or holds ".", else it only leads to members. Sets are
never changed once they are made, so that they may share their parts. `{}` as a whole is the empty set.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject

from functools import lru_cache as _lru_cache
from json import dumps as _dumps
from json import loads as _loads

MISSING = object()
cdef object _MISSING = MISSING
cdef str SELF = "."

cdef enum Scalar:
    NONE
    NUMERIC
    STRING
    BOOLEAN
    UNTYPED

cdef enum Form:
    WHOLE  # of no form that the type allows, null or absent
    MAP
    SCALAR
    LIST


class FieldError(ValueError):
    """A value does not fit its type, or a set cannot be read; the text is upstream's."""


cdef class Node:
    """A type, compiled for walks: which of scalar, list and map a value may be."""
    cdef public int scalar
    cdef public bint is_map
    cdef public bint map_atomic
    cdef public dict fields  # name -> (path element, Node)
    cdef public Node element
    cdef public bint is_list
    cdef public bint list_atomic
    cdef public tuple keys  # sorted; empty for a list that is a set of scalars
    cdef public dict key_defaults
    cdef public Node item

    def __init__(self):
        self.fields = {}
        self.keys = ()
        self.key_defaults = {}

    cdef Form form(self, object value):
        if value is _MISSING or value is None:
            return WHOLE
        if isinstance(value, dict):
            return MAP if self.is_map else WHOLE
        if isinstance(value, list):
            return LIST if self.is_list else WHOLE
        return SCALAR if self.scalar != NONE else WHOLE

    cdef Form handler(self, Form form):
        """How a value of a form is treated."""
        if form != WHOLE:
            return form
        return MAP if self.is_map else SCALAR if self.scalar != NONE else LIST


cdef Node _deduced = None
cdef Node _atomic = None


cdef Node deduced():
    """The type of what has no schema: maps are followed, lists are atomic."""
    global _deduced, _atomic
    if _deduced is None:
        _atomic = Node()
        _atomic.scalar = UNTYPED
        _atomic.is_map = _atomic.map_atomic = _atomic.is_list = _atomic.list_atomic = True
        _atomic.element = _atomic.item = _atomic
        _deduced = Node()
        _deduced.scalar = UNTYPED
        _deduced.is_map = _deduced.is_list = _deduced.list_atomic = True
        _deduced.element = _deduced
        _deduced.item = _atomic
    return _deduced


cdef dict SCALARS = {
    "string": STRING, "bytes": STRING, "duration": STRING, "int32": NUMERIC, "int64": NUMERIC, "number": NUMERIC,
    "bool": BOOLEAN, "time": UNTYPED, "microtime": UNTYPED, "quantity": UNTYPED, "intorstring": UNTYPED,
}


def compile(type):
    """The Node of a Type; kept on the type."""
    return compile_type(type)


cdef Node compile_type(object type):
    if type.paths is not None:
        return <Node>type.paths
    cdef Node node
    kind = type.kind
    if kind == "any" or kind == "schemaor":
        node = deduced()
        type.paths = node
        return node
    node = Node()
    type.paths = node
    if kind == "struct":
        node.is_map = True
        node.map_atomic = type.map_type == "atomic"
        for name, field in type.fields.items():
            node.fields[name] = ("f:" + name, compile_member(field))
        if type.preserve_unknown or not type.fields:
            node.element = deduced()
        if type.items is not None:
            node.element = compile_type(type.items)
    elif kind == "map":
        node.is_map = True
        node.map_atomic = type.map_type == "atomic"
        node.element = compile_type(type.items) if type.items is not None else deduced()
    elif kind == "list":
        compile_list(node, type.list_type, type.list_keys, type.items)
    else:
        node.scalar = SCALARS.get(kind, UNTYPED)
    return node


cdef Node compile_member(object field):
    """A list without a list type goes by the patch strategy of the member that holds it."""
    type = field.type
    if type.kind != "list" or type.list_type or "merge" not in field.patch_strategy.split(","):
        return compile_type(type)
    cdef Node node = Node()
    if field.patch_merge_key:
        compile_list(node, "map", (field.patch_merge_key,), type.items)
    else:
        compile_list(node, "set", (), type.items)
    return node


cdef compile_list(Node node, str list_type, tuple keys, object items):
    node.is_list = True
    node.list_atomic = list_type not in ("set", "map")
    node.item = compile_type(items) if items is not None else deduced()
    if list_type == "map":
        node.keys = tuple(sorted(keys))
        for key in keys:
            field = items.fields.get(key)
            if field is not None and field.default is not None:
                node.key_defaults[key] = field.default


# Path elements.


cdef str scalar_text(object value):
    """A scalar as it stands in a path element: JSON, with < > & escaped as Go does."""
    if isinstance(value, str):
        text = _dumps(value, ensure_ascii=False)
        if not value.isalnum():
            text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x7f", "\\u007f")
        return text
    if isinstance(value, float) and value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return _dumps(value, sort_keys=True, separators=(",", ":"))


cdef str item_element(Node node, object item):
    """The path element of a list's item; FieldError when it can have none."""
    cdef list parts
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
            f"associative list with keys has an element that omits all key fields [{listed}] (and doesn't have"
            " default values for any key fields)"
        )
    return "k:{" + ",".join(parts) + "}"


@_lru_cache(maxsize=65536)
def canonical_element(str element):
    """A path element as a client may have written it in its one form; "" for one of an unknown sort."""
    if len(element) < 2:
        raise FieldError("key must be 2 characters long:")
    if element[1] != ":":
        raise FieldError(f"missing colon: {element}")
    sort, text = element[0], element[2:]
    if sort == "f":
        return element
    try:
        if sort == "v":
            return "v:" + scalar_text(_loads(text))
        if sort == "k":
            members = _loads(text)
            if not isinstance(members, dict):
                raise FieldError(f"expected object in {element}")
            parts = [f"{scalar_text(name)}:{scalar_text(value)}" for name, value in sorted(members.items())]
            return "k:{" + ",".join(parts) + "}"
        if sort == "i":
            return f"i:{int(text)}"
    except FieldError:
        raise
    except ValueError as err:
        raise FieldError(f"parsing key as path element: {err}") from None
    return ""


@_lru_cache(maxsize=65536)
def sort_key(str element):
    """The order of path elements: fields, keys, values, indexes; numbers before texts."""
    sort, text = element[0], element[2:]
    if sort == "f":
        return (0, text)
    if sort == "k":
        return (1, [(name, _rank(value)) for name, value in _loads(text).items()])
    if sort == "v":
        return (2, _rank(_loads(text)))
    return (3, int(text))


def _rank(value):
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, (int, float)):
        return (0, value)
    return (1, value) if isinstance(value, str) else (3, _dumps(value))


@_lru_cache(maxsize=65536)
def element_text(str element):
    """A path element as messages show it: `.name`, `[name="c"]`, `[="v"]`, `[0]`."""
    sort, text = element[0], element[2:]
    if sort == "f":
        return "." + text
    if sort == "k":
        return "[" + ",".join([f"{name}={_shown(value)}" for name, value in _loads(text).items()]) + "]"
    return f"[={_shown(_loads(text))}]" if sort == "v" else f"[{text}]"


def _shown(value):
    return _dumps(value, ensure_ascii=False)


# Sets.


cdef inline bint is_member(dict child):
    return not child or SELF in child


cdef dict seal(dict children, bint member):
    """The dict of an element that has these children, None when it is nothing."""
    if not children:
        return {} if member else None
    if member:
        children[SELF] = {}
    return children


def parse(fields):
    """A set out of FieldsV1 as a client or the store gives it; FieldError when it is none."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FieldError("expected an object of fields")
    found = read(fields)
    return below(found) if SELF in found else found


cdef dict read(dict fields):
    """The same dict when it is in its one form already."""
    cdef dict out = {}
    cdef dict child
    cdef bint same = True
    for name, inner in fields.items():
        if name == SELF:
            out[SELF] = {}
            continue
        element = name if name[:2] == "f:" else canonical_element(name)
        if not element:
            same = False
            continue
        if not isinstance(inner, dict):
            raise FieldError(f"expected an object in {name}")
        child = <dict>inner
        if child:
            child = read(child)
            if not child or (len(child) == 1 and SELF in child):
                child = {}
            if child is not inner:
                same = False
        if element != name:
            same = False
        out[element] = child
    return fields if same else out


def ordered(dict fields):
    """The same set with its elements in the order in which upstream writes them."""
    return order(fields)


cdef dict order(dict fields):
    cdef dict out = {}
    cdef list names = []
    cdef bint plain = True
    for name in fields:
        if name == SELF:
            out[SELF] = {}
            continue
        names.append(name)
        if (<str>name)[0] != u"f":
            plain = False
    if plain:
        names.sort()
    else:
        names.sort(key=sort_key)
    for name in names:
        child = <dict>fields[name]
        out[name] = order(child) if child else child
    return out


def union(dict a, dict b):
    """All members of either set."""
    if not a or not b:
        return a or b
    return unite(a, b)


cdef dict unite(dict a, dict b):
    cdef dict out = dict(a)
    cdef dict x, y
    for name, child in b.items():
        if name == SELF:
            out[SELF] = {}
            continue
        x = <dict>out.get(name)
        y = <dict>child
        if x is None:
            out[name] = y
        elif not x:
            out[name] = y if is_member(y) else {SELF: {}, **y}
        elif not y:
            out[name] = x if SELF in x else {SELF: {}, **x}
        else:
            out[name] = unite(x, y)
    return out


def difference(dict a, dict b):
    """The members of `a` that are not members of `b`; what is below a member of `b` stays."""
    return subtract(a, b, False)


def recursive_difference(dict a, dict b):
    """The members of `a` that are neither members of `b` nor below one."""
    return subtract(a, b, True)


cdef dict subtract(dict a, dict b, bint recursive):
    cdef dict out
    cdef dict x, y
    if not b or not a:
        return a
    out = {}
    for name, child in a.items():
        if name == SELF:
            continue
        x = <dict>child
        y = <dict>b.get(name)
        if y is None:
            out[name] = x
            continue
        if recursive and is_member(y):
            continue
        kept = seal(subtract(x, y, recursive) if x and y else below(x), is_member(x) and not is_member(y))
        if kept is not None:
            out[name] = kept
    return out


cdef dict below(dict child):
    """An element's dict without its own membership."""
    if SELF not in child:
        return child
    child = dict(child)
    del child[SELF]
    return child


def intersection(dict a, dict b):
    """The members of both sets."""
    return common(a, b)


cdef dict common(dict a, dict b):
    cdef dict out = {}
    cdef dict x, y
    for name, child in a.items():
        y = <dict>b.get(name)
        if y is None or name == SELF:
            continue
        x = <dict>child
        kept = seal(common(x, y) if x and y else {}, is_member(x) and is_member(y))
        if kept is not None:
            out[name] = kept
    return out


def has(dict fields, tuple path):
    """Whether a path (a tuple of path elements) is a member."""
    cdef dict child = fields
    for element in path:
        child = <dict>child.get(element)
        if child is None:
            return False
    return bool(path) and is_member(child)


def paths(dict fields):
    """All members as tuples of path elements: those of a level before those below them, each in order."""
    out = []
    walk_paths(fields, (), out)
    return out


cdef walk_paths(dict fields, tuple prefix, list out):
    names = sorted([name for name in fields if name != SELF], key=sort_key)
    for name in names:
        if is_member(<dict>fields[name]):
            out.append((*prefix, name))
    for name in names:
        if fields[name]:
            walk_paths(<dict>fields[name], (*prefix, name), out)


def of(members):
    """A set of paths, each a tuple of path elements."""
    out = {}
    for path in members:
        child = {}
        for element in reversed(path):
            child = {element: child}
        out = union(out, child)
    return out


def path_text(path):
    """A path as messages show it: `.spec.containers[name="c"].image`."""
    return "".join([element_text(element) for element in path])


def leaves(dict fields):
    """The members that have no members below them."""
    out = {}
    for name, child in fields.items():
        if name != SELF:
            out[name] = leaves(child) if child else {}
    return out


# Walks over values.


def from_object(type, value):
    """The set of all fields that an applied configuration mentions."""
    cdef dict out = {}
    collect(compile_type(type), value, out, None)
    return out


cdef bint collect(Node node, object value, dict out, object unused) except -1:
    """Put what is below `value` into `out`; true when the value itself is a leaf."""
    cdef Form form = node.handler(node.form(value))
    if form == SCALAR:
        return True
    if form == MAP:
        if node.map_atomic:
            return True
        if isinstance(value, dict):
            collect_map(node, <dict>value, out)
        return False
    if node.list_atomic:
        return True
    if isinstance(value, list):
        collect_list(node, <list>value, out)
    return False


cdef collect_map(Node node, dict value, dict out):
    cdef Node inner
    cdef dict child
    cdef bint member
    for name, item in value.items():
        field = node.fields.get(name)
        if field is not None:
            element, inner = <str>(<tuple>field)[0], <Node>(<tuple>field)[1]
        else:
            element, inner = "f:" + name, node.element
            if inner is None:
                raise FieldError("field not declared in schema")
        child = {}
        member = collect(inner, item, child, None)
        member = member or field is None or item is None or (isinstance(item, dict) and not item)
        kept = seal(child, member)
        if kept is not None:
            out[element] = kept


cdef collect_list(Node node, list value, dict out):
    cdef dict child
    elements = [item_element(node, item) for item in value]
    seen = {}
    for element in elements:
        seen[element] = seen.get(element, 0) + 1
    for element, item in zip(elements, value):
        child = {}
        if seen[element] == 1:
            collect(node.item, item, child, None)
        out[element] = seal(child, True)


cdef class Changes:
    """What is below one element: added, removed and modified."""
    cdef dict added
    cdef dict removed
    cdef dict modified

    def __init__(self):
        self.added = {}
        self.removed = {}
        self.modified = {}


cdef enum Mark:
    UNCHANGED
    ADDED
    REMOVED
    MODIFIED


def compare(type, old, new):
    """The sets (added, modified, removed) of what is different in `new`."""
    cdef Changes out = Changes()
    differ(compile_type(type), old, new, out)
    return out.added, out.modified, out.removed


cdef Mark differ(Node node, object old, object new, Changes out) except *:
    """Collect what changed below two values; how the element itself changed is returned."""
    cdef Form before = node.form(old)
    cdef Form after = node.form(new)
    cdef Mark mark = UNCHANGED
    cdef bint leaf
    if new is _MISSING:
        leaf = handle(node, node.handler(before), old, new, out, &mark)
    elif old is _MISSING or before == after or single(node):
        leaf = handle(node, node.handler(after), old, new, out, &mark)
    else:
        handle(node, node.handler(before), old, new, out, &mark)
        leaf = handle(node, node.handler(after), old, new, out, &mark)
    if not leaf:
        if old is _MISSING:
            mark = ADDED
        elif new is _MISSING:
            mark = REMOVED
    return mark


cdef inline bint single(Node node):
    return node.is_map + node.is_list + (node.scalar != NONE) == 1


cdef bint handle(Node node, Form form, object old, object new, Changes out, Mark *mark) except -1:
    """Compare two values as one form; true when they were compared as a whole."""
    cdef bint both_empty
    if form == MAP:
        both_empty = (not isinstance(old, dict) or not old) and (not isinstance(new, dict) or not new)
        if not node.map_atomic and not both_empty:
            differ_maps(node, old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}, out)
            return False
    elif form == LIST:
        both_empty = (not isinstance(old, list) or not old) and (not isinstance(new, list) or not new)
        if not node.list_atomic and not both_empty:
            differ_lists(node, old if isinstance(old, list) else [], new if isinstance(new, list) else [], out)
            return False
    if old is _MISSING:
        mark[0] = ADDED
    elif new is _MISSING:
        mark[0] = REMOVED
    elif old != new:
        mark[0] = MODIFIED
    return True


cdef differ_maps(Node node, dict old, dict new, Changes out):
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *other
    cdef Py_ssize_t at = 0
    while PyDict_Next(old, &at, &name, &value):
        other = PyDict_GetItem(new, <object>name)
        if other == NULL:
            differ_member(node, <str>name, <object>value, _MISSING, out)
        elif other != value and <object>other != <object>value:
            differ_member(node, <str>name, <object>value, <object>other, out)
    at = 0
    while PyDict_Next(new, &at, &name, &value):
        if PyDict_GetItem(old, <object>name) == NULL:
            differ_member(node, <str>name, _MISSING, <object>value, out)


cdef differ_member(Node node, str name, object old, object new, Changes out):
    cdef tuple field = <tuple>node.fields.get(name)
    if field is not None:
        note(<Node>field[1], <str>field[0], old, new, out)
    elif node.element is not None:
        note(node.element, "f:" + name, old, new, out)
    else:
        raise FieldError(f".{name}: field not declared in schema")


cdef note(Node node, str element, object old, object new, Changes out):
    """Compare the values of one element and put the outcome into the sets of its parent."""
    cdef Changes inner = Changes()
    cdef Mark mark = differ(node, old, new, inner)
    if inner.added or mark == ADDED:
        out.added[element] = seal(inner.added, mark == ADDED)
    if inner.removed or mark == REMOVED:
        out.removed[element] = seal(inner.removed, mark == REMOVED)
    if inner.modified or mark == MODIFIED:
        out.modified[element] = seal(inner.modified, mark == MODIFIED)


cdef dict by_element(Node node, list items):
    """Element -> the items that have it."""
    cdef dict out = {}
    for i, item in enumerate(items):
        try:
            element = item_element(node, item)
        except FieldError as err:
            raise FieldError(f"element {i}: {err}") from None
        found = out.get(element)
        if found is None:
            out[element] = [item]
        else:
            (<list>found).append(item)
    return out


cdef differ_lists(Node node, list old, list new, Changes out):
    cdef dict before = by_element(node, old)
    cdef dict after = by_element(node, new)
    cdef list none = []
    for element in {**before, **after}:
        was = <list>before.get(element, none)
        now = <list>after.get(element, none)
        if len(was) < 2 and len(now) < 2:
            old_item = was[0] if was else _MISSING
            new_item = now[0] if now else _MISSING
            if old_item is _MISSING or new_item is _MISSING or old_item != new_item:
                note(node.item, element, old_item, new_item, out)
        elif len(was) >= 2 and len(now) >= 2:
            if was != now:
                out.modified[element] = {}
        elif len(was) >= 2:
            if now:
                note(node.item, element, _MISSING, now[0], out)
            out.removed[element] = {}
        else:
            if was:
                note(node.item, element, was[0], _MISSING, out)
            out.added[element] = {}


def with_named_members(type, dict fields):
    """The set with each declared field that leads to a member made a member itself."""
    return ensure_named(compile_type(type), fields)


cdef dict ensure_named(Node node, dict fields):
    cdef dict out = {}
    cdef dict child
    cdef Node inner
    for name, value in fields.items():
        if name == SELF:
            continue
        child = <dict>value
        if not child:
            out[name] = child
            continue
        inner = None
        declared = False
        if node is not None:
            sort = name[:2]
            if sort == "f:" and node.is_map:
                field = node.fields.get(name[2:])
                declared = field is not None
                inner = <Node>(<tuple>field)[1] if declared else node.element
            elif sort == "k:" and node.is_list:
                inner = node.item
        out[name] = seal(ensure_named(inner, child), SELF in child or declared)
    return out


def remove(type, value, dict fields):
    """The value without the items and members that are in the set; what is emptied becomes null."""
    return take_out(compile_type(type), value, fields)


cdef object take_out(Node node, object value, dict fields):
    cdef Form form = node.handler(node.form(value))
    cdef dict child
    cdef dict rest
    if form == SCALAR:
        return value
    if form == LIST:
        if not isinstance(value, list) or not value or node.list_atomic:
            return None
        items = []
        for item in value:
            child = <dict>fields.get(item_element(node, item))
            if child is None:
                items.append(item)
            elif not is_member(child):
                items.append(take_out(node.item, item, child))
        return items or None
    if not isinstance(value, dict) or not value or node.map_atomic:
        return None
    rest = {}
    for name, item in value.items():
        field = node.fields.get(name)
        child = <dict>fields.get("f:" + name)
        if child is None:
            rest[name] = item
        elif not is_member(child):
            rest[name] = take_out(<Node>(<tuple>field)[1] if field is not None else node.element, item, child)
    return rest or None


def reconcile(type, dict fields):
    """The set after types that have become atomic since it was written; the set itself when there are none."""
    node = compile_type(type)
    return reconcile_children(node, fields)


cdef dict reconcile_children(Node node, dict fields):
    cdef dict out = fields
    cdef dict child
    cdef Node inner
    for name, value in fields.items():
        child = <dict>value
        if not child or name == SELF:
            continue
        sort = name[:2]
        inner = None
        if sort == "f:" and node.is_map:
            field = node.fields.get(name[2:])
            inner = <Node>(<tuple>field)[1] if field is not None else node.element
        elif node.is_list:
            inner = node.item
        if inner is None or inner is _deduced or inner is _atomic:
            continue
        if (inner.is_map and inner.map_atomic) or (not inner.is_map and inner.is_list and inner.list_atomic):
            changed = {}
        else:
            changed = reconcile_children(inner, child)
        if changed is not child:
            if out is fields:
                out = dict(fields)
            out[name] = changed
    return out


def merge(type, live, config):
    """The live value with an applied configuration merged in; both must fit the type."""
    merged = join(compile_type(type), live, config)
    return None if merged is _MISSING else merged


cdef object join(Node node, object live, object config):
    cdef Form before = node.form(live)
    cdef Form after = node.form(config)
    cdef Form form
    cdef bint both_empty
    if config is _MISSING:
        form = node.handler(before)
    else:
        form = node.handler(after)
    if form == MAP:
        old = live if isinstance(live, dict) else {}
        new = config if isinstance(config, dict) else {}
        if not node.map_atomic and (old or new):
            return join_maps(node, <dict>old, <dict>new)
    elif form == LIST:
        old = live if isinstance(live, list) else []
        new = config if isinstance(config, list) else []
        if not node.list_atomic and (old or new):
            return join_lists(node, <list>old, <list>new)
    return live if config is _MISSING else config


cdef object join_maps(Node node, dict live, dict config):
    cdef dict out = {}
    cdef Node inner
    for name, value in live.items():
        change = config.get(name, _MISSING)
        if change is _MISSING:
            out[name] = value
            continue
        field = node.fields.get(name)
        inner = <Node>(<tuple>field)[1] if field is not None else node.element
        if inner is None:
            raise FieldError(f".{name}: field not declared in schema")
        merged = join(inner, value, change)
        if merged is not _MISSING:
            out[name] = merged
    for name, value in config.items():
        if name not in live:
            out[name] = value
    return out if out else _MISSING


cdef object join_lists(Node node, list live, list config):
    """Items of the configuration in its order; live ones keep their places among those that both have."""
    cdef list wanted = [item_element(node, item) for item in config]
    cdef list there = [item_element(node, item) for item in live]
    cdef dict new = dict(zip(wanted, config))
    cdef dict old = {}
    cdef list out = []
    cdef Py_ssize_t i = 0, j = 0, s = 0
    for element, item in zip(there, live):
        old[element] = None if element in old else item
    shared = [element for element in wanted if element in old]
    merged = set()
    while i < len(there) or j < len(wanted):
        if i < len(there) and j < len(wanted):
            element = there[i]
            if element == wanted[j]:
                merged.add(element)
                append(out, join(node.item, old[element], new[element]))
                i += 1
                j += 1
                s += 1
                continue
            if element in new and s < len(shared) and shared[s] != element:
                i += 1
                continue
        if i < len(there):
            element = there[i]
            if element not in new:
                append(out, live[i])
                i += 1
                continue
            if element in merged:
                i += 1
        if j < len(wanted):
            element = wanted[j]
            merged.add(element)
            append(out, join(node.item, old.get(element, _MISSING), new[element]))
            j += 1
            if s < len(shared) and shared[s] == element:
                s += 1
    return out if out else _MISSING


cdef append(list out, object value):
    if value is not _MISSING:
        out.append(value)


# Validation of an applied configuration.


def validate(type, value, bint duplicates=False):
    """What is wrong with a value, in upstream's words; `duplicates` lets lists repeat a key."""
    cdef list out = []
    check(compile_type(type), value, "", duplicates, out)
    return out


cdef check(Node node, object value, str path, bint duplicates, list out):
    cdef Form form = node.handler(node.form(value))
    if value is None:
        return
    if form == SCALAR:
        check_scalar(node, value, path, out)
    elif form == MAP:
        if not isinstance(value, dict):
            out.append(f"{path}: expected map, got &{{{go(value)}}}")
            return
        for name, item in value.items():
            field = node.fields.get(name)
            inner = (<tuple>field)[1] if field is not None else node.element
            if inner is None:
                out.append(f"{path}.{name}: field not declared in schema")
                return
            check(<Node>inner, item, f"{path}.{name}", duplicates, out)
    elif not isinstance(value, list):
        out.append(f"{path}: expected list, got &{{{go(value)}}}")
    else:
        check_list(node, <list>value, path, duplicates, out)


cdef check_list(Node node, list value, str path, bint duplicates, list out):
    seen = set()
    for i, item in enumerate(value):
        if node.list_atomic:
            text = f"[{i}]"
        else:
            try:
                element = item_element(node, item)
            except FieldError as err:
                out.append(f"{path}: element {i}: {err}")
                return
            text = element_text(element)
            if element in seen and not duplicates:
                out.append(f"{path}: duplicate entries for key {text}")
            seen.add(element)
        check(node.item, item, path + text, duplicates, out)


cdef check_scalar(Node node, object value, str path, list out):
    cdef bint number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if node.scalar == NUMERIC:
        if not number:
            out.append(f"{path}: expected numeric (int or float), got {go_type(value)}")
    elif node.scalar == STRING:
        if not isinstance(value, str):
            out.append(f"{path}: expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}")
    elif node.scalar == BOOLEAN:
        if not isinstance(value, bool):
            out.append(f"{path}: expected boolean, got &{{{go(value)}}}")
    elif isinstance(value, (dict, list)):
        out.append(f"{path}: expected any scalar, got &{{{go(value)}}}")


def go(value):
    """Go's %v of JSON data."""
    if isinstance(value, dict):
        return f"map[{' '.join([f'{name}:{go(value[name])}' for name in sorted(value)])}]"
    if isinstance(value, list):
        return f"[{' '.join([go(item) for item in value])}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def go_type(value):
    """Go's %T of JSON data."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


def go_syntax(value):
    """Go's %#v of JSON data."""
    if isinstance(value, dict):
        return go_type(value) + "{" + ", ".join([f"{_shown(k)}:{go_syntax(value[k])}" for k in sorted(value)]) + "}"
    if isinstance(value, list):
        return go_type(value) + "{" + ", ".join([go_syntax(item) for item in value]) + "}"
    if value is None:
        return "interface {}(nil)"
    return _shown(value)
