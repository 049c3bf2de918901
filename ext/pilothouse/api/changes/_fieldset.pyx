"""Sets of field paths for managed fields (structured-merge-diff fieldpath and typed).

A set is what FieldsV1 is in JSON: nested dicts whose keys are path elements (`f:name`, `k:{...}`, `v:...`,
`i:...`). An element is a member of the set when its dict is empty or holds ".", else it only leads to
members. Sets are never changed once they are made, so that they may share their parts. `{}` as a whole is the
empty set.
"""

from cpython.dict cimport PyDict_Copy, PyDict_GetItemWithError, PyDict_Keys, PyDict_Next
from cpython.list cimport PyList_AsTuple
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Compare
from libc.string cimport memcmp

from functools import lru_cache as _lru_cache
from heapq import merge as _merge
from json import dumps as _dumps
from json import loads as _loads
from json.encoder import encode_basestring as _quoted

from pilothouse.api._stored cimport FieldSet, shared_set

from pilothouse.gotext import quote

cdef extern from "Python.h":
    Py_UCS4 PyUnicode_READ_CHAR(object, Py_ssize_t)
    bint PyUnicode_IS_ASCII(object)
    void *PyUnicode_1BYTE_DATA(object)

include "pilothouse/api/_turn.pxi"

MISSING = object()
cdef object _MISSING = MISSING
cdef str SELF = "."
cdef dict LEAF = {}  # the dict of all members without children; shared by all sets

cdef enum Scalar:
    NONE
    NUMERIC
    STRING
    BOOLEAN
    UNTYPED

cdef enum Form:
    WHOLE  # null, absent, or of a form that the type does not allow
    MAP
    SCALAR
    LIST


class FieldError(ValueError):
    """A value does not fit its type, or a set is malformed; the message is upstream's."""


class ConversionError(FieldError):
    """An object cannot be converted to the version of an entry."""


cdef class Plan


cdef class Node:
    """A compiled type: whether a value may be a scalar, a list or a map."""
    cdef public int scalar
    cdef public bint is_map
    cdef public bint map_atomic
    cdef public dict fields  # name -> (path element, Node)
    cdef dict elements  # path element -> Node, of the same members
    cdef public Node element
    cdef public bint is_list
    cdef public bint list_atomic
    cdef public tuple keys  # sorted; empty for a list that is a set of scalars
    cdef str beginning  # of the path elements of items, where there is one key
    cdef dict known  # value of that key -> path element, of some texts
    cdef public dict key_defaults
    cdef public Node item
    cdef dict plans  # names of members that a struct has -> Plan
    cdef Plan plan  # the last one
    cdef tuple leading  # (path element, Node) of the members that lead to atomic values; None at first
    cdef bint items_lead  # whether other members, or items, do

    def __init__(self):
        self.fields = {}
        self.elements = {}
        self.keys = ()
        self.key_defaults = {}
        self.plans = {}
        self.known = {}

    cdef bint flat(self):
        """Whether no value has members of its own."""
        return not (self.is_map and not self.map_atomic) and not (self.is_list and not self.list_atomic)

    cdef Form form(self, object value):
        if value is _MISSING or value is None:
            return WHOLE
        if isinstance(value, dict):
            return MAP if self.is_map else WHOLE
        if isinstance(value, list):
            return LIST if self.is_list else WHOLE
        return SCALAR if self.scalar != NONE else WHOLE

    cdef Form handler(self, Form form):
        """How a value of this form is treated."""
        if form != WHOLE:
            return form
        return MAP if self.is_map else SCALAR if self.scalar != NONE else LIST


cdef Node _deduced = None
cdef Node _atomic = None


cdef Node deduced():
    """The type of values without a schema: maps are granular, lists are atomic."""
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
    "string": STRING, "bytes": STRING, "duration": STRING, "int32": NUMERIC, "int64": NUMERIC,
    "number": NUMERIC,
    "bool": BOOLEAN, "time": UNTYPED, "microtime": UNTYPED, "quantity": UNTYPED, "scalar": UNTYPED,
}


# Defaults that OpenAPI declares for members that are always written.
cdef dict KEY_ZEROS = {"string": "", "int32": 0, "int64": 0, "number": 0, "bool": False}


def compile(type):
    """The Node of a Type; cached on the type."""
    return compile_type(type)


cdef Node compile_type(object type):
    if type.paths is not None:
        return <Node>type.paths
    cdef Node node
    kind = type.kind
    if kind == "any" or kind == "schemaor" or kind == "intorstring":
        deduced()
        node = _atomic if type.name.endswith(".RawExtension") else _deduced    # owned as a whole
        type.paths = node
        return node
    node = Node()
    type.paths = node
    if kind == "struct":
        node.is_map = True
        node.map_atomic = type.map_type == "atomic"
        for name, field in type.fields.items():
            inner = compile_member(field)
            node.fields[name] = ("f:" + name, inner)
            node.elements["f:" + name] = inner
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
    """A list without a list type follows the patch strategy of the member that contains it."""
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
        if len(keys) == 1:
            node.beginning = f'k:{{"{keys[0]}":'
        for key in keys:
            field = items.fields.get(key)
            if field is None:
                continue
            if field.declared is not None:
                node.key_defaults[key] = field.declared
            elif not field.omit and not field.pointer and field.type.kind in KEY_ZEROS:
                node.key_defaults[key] = KEY_ZEROS[field.type.kind]


include "_fieldset_element.pxi"
include "_fieldset_order.pxi"
include "_fieldset_set.pxi"
include "_fieldset_object.pxi"
include "_fieldset_compare.pxi"
include "_fieldset_merge.pxi"
include "_fieldset_check.pxi"
include "_fieldset_entry.pxi"
include "_fieldset_tracker.pxi"
