# The nodes of an expression: constants, variables, fields, items, conditions, literals. Included by _cel.pyx.

cdef class Node:
    """A part of an expression.

    `resolve` is its value as a step of a longer path (`a` in `a.b`, or a branch of `?:`):
    there cel-go charges nothing for having reached a variable, which `eval` does.
    """

    cdef object eval(self, Frame frame):
        raise NotImplementedError

    cdef object resolve(self, Frame frame):
        return self.eval(frame)


cdef class Const(Node):
    """A constant."""

    cdef readonly object value

    def __init__(self, value):
        self.value = value

    cdef object eval(self, Frame frame):
        return self.value


cdef class Lazy:
    """The value of a variable that `cel.bind` declares, before it is needed."""

    cdef Node init


cdef class Var(Node):
    """A variable."""

    cdef Py_ssize_t slot
    cdef str name

    def __init__(self, Py_ssize_t slot, str name not None):
        self.slot = slot
        self.name = name

    cdef object eval(self, Frame frame):
        charge(frame, 1)
        return self.resolve(frame)

    cdef object resolve(self, Frame frame):
        value = frame.slots[self.slot]
        if value is MISSING:
            raise EvaluationError("no such attribute(s): " + self.name)
        if type(value) is Lazy:
            value = (<Lazy>value).init.eval(frame)
            frame.slots[self.slot] = value
        return value


cdef object member(object value, str key, bint typed):
    """The field of a value, MISSING for none; `typed` objects have no field that is null."""
    cdef PyObject* at
    if type(value) is dict:
        at = PyDict_GetItem(<dict>value, key)
        if at == NULL:
            return MISSING
        found = <object>at
    elif isinstance(value, MapView):
        found = (<MapView>value).find(key)
    elif isinstance(value, Struct):
        found = value.fields.get(key, MISSING)
    elif isinstance(value, Lookup):
        try:
            return value.find(key)
        except KeyError:
            return MISSING
    elif type(value) is list or isinstance(value, ListView):
        raise EvaluationError("unsupported index type 'string' in list")
    else:
        return MISSING
    return MISSING if typed and found is None else found


cdef class Select(Node):
    """`operand.key`, or `operand.?key` when optional. `whole`: its schema declares an integer."""

    cdef Node operand
    cdef str key
    cdef str shown
    cdef bint typed
    cdef bint optional
    cdef bint whole
    cdef cost_t base

    def __init__(
        self, Node operand not None, str key not None, str shown not None, bint typed, bint optional,
        bint whole
    ):
        self.operand = operand
        self.key = key
        self.shown = shown
        self.typed = typed
        self.optional = optional
        self.whole = whole
        self.base = base_cost(operand)

    cdef object eval(self, Frame frame):
        charge(frame, self.base)
        return self.resolve(frame)

    cdef object resolve(self, Frame frame):
        value = self.operand.resolve(frame)
        cdef bint optional = self.optional
        if type(value) is Optional:
            if not (<Optional>value).present:
                return value
            value = (<Optional>value).value
            optional = True
        if not optional:
            charge(frame, 1)
        found = member(value, self.key, self.typed)
        if found is MISSING:
            if optional:
                return NONE
            raise EvaluationError("no such key: " + self.shown)
        if self.whole and type(found) is float:
            raise EvaluationError("invalid data, expected int, got float64")
        if optional:
            charge(frame, 1)
            return Optional(found)
        return found


cdef cost_t base_cost(Node operand):
    """The cost of reaching the start of a path."""
    if isinstance(operand, Select):
        return (<Select>operand).base
    if isinstance(operand, Index):
        return (<Index>operand).base
    return 0 if isinstance(operand, Condition) else 1


cdef class Has(Node):
    """`has(operand.key)`."""

    cdef Node operand
    cdef str key
    cdef bint typed

    def __init__(self, Node operand not None, str key not None, bint typed):
        self.operand = operand
        self.key = key
        self.typed = typed

    cdef object eval(self, Frame frame):
        value = self.operand.resolve(frame)
        if type(value) is Optional:
            if not (<Optional>value).present:
                return False
            value = (<Optional>value).value
        charge(frame, 1)
        return member(value, self.key, self.typed) is not MISSING


cdef class Index(Node):
    """`operand[key]`, or `operand[?key]` when optional."""

    cdef Node operand
    cdef Node key
    cdef bint optional
    cdef cost_t base

    def __init__(self, Node operand not None, Node key not None, bint optional):
        self.operand = operand
        self.key = key
        self.optional = optional
        self.base = base_cost(operand)

    cdef object eval(self, Frame frame):
        charge(frame, self.base)
        return self.resolve(frame)

    cdef object resolve(self, Frame frame):
        value = self.operand.resolve(frame)
        cdef bint optional = self.optional
        if type(value) is Optional:
            if not (<Optional>value).present:
                return value
            value = (<Optional>value).value
            optional = True
        key = self.key.resolve(frame)
        if not optional:
            charge(frame, 1)
        found = item(value, key, frame)
        if found is MISSING:
            if optional:
                return NONE
            if type(value) is list or isinstance(value, ListView):
                raise EvaluationError("index out of bounds: " + show(key))
            raise EvaluationError("no such key: " + show(key))
        if optional:
            charge(frame, 1)
            return Optional(found)
        return found


cdef object item(object value, object key, Frame frame):
    """The value at an index of a list or under a key of a map, MISSING for nothing."""
    if type(value) is dict or isinstance(value, MapView):
        return find_in(value, key, frame)
    if type(value) is list or isinstance(value, ListView):
        if type(key) is float and not (<double>key).is_integer():
            raise EvaluationError(f"unsupported index value {show(key)} in list")
        if not is_number(key):
            raise EvaluationError(f"unsupported index type '{type_name(key)}' in list")
        if not 0 <= key < len(value):
            return MISSING
        if type(value) is list:
            return (<list>value)[int(key)]
        return adapt((<ListView>value).value[int(key)], (<ListView>value).shape.items)
    if type(key) is str:
        return member(value, key, False)
    return MISSING


cdef class And(Node):
    """`a && b && ...`: false if one is, whatever errors the others have."""

    cdef list terms

    def __init__(self, list terms not None):
        self.terms = terms

    cdef object eval(self, Frame frame):
        return junction(self.terms, frame, False)


cdef class Or(Node):
    """`a || b || ...`: true if one is, whatever errors the others have."""

    cdef list terms

    def __init__(self, list terms not None):
        self.terms = terms

    cdef object eval(self, Frame frame):
        return junction(self.terms, frame, True)


cdef object junction(list terms, Frame frame, object decisive):
    error = None
    for term in terms:
        try:
            value = (<Node>term).eval(frame)
        except CostLimitExceeded:
            raise
        except EvaluationError as err:
            if error is None:
                error = err
            continue
        if value is decisive:
            return decisive
        if type(value) is not bool and error is None:
            error = EvaluationError("no such overload")
    if error is not None:
        raise error
    return not decisive


cdef class Not(Node):
    """`!a`."""

    cdef Node operand

    def __init__(self, Node operand not None):
        self.operand = operand

    cdef object eval(self, Frame frame):
        value = self.operand.eval(frame)
        charge(frame, 1)
        if type(value) is not bool:
            raise EvaluationError("no such overload")
        return not value


cdef class Condition(Node):
    """`test ? yes : no`."""

    cdef Node test
    cdef Node yes
    cdef Node no

    def __init__(self, Node test not None, Node yes not None, Node no not None):
        self.test = test
        self.yes = yes
        self.no = no

    cdef object eval(self, Frame frame):
        value = self.test.eval(frame)
        if value is True:
            return self.yes.resolve(frame)
        if value is False:
            return self.no.resolve(frame)
        raise EvaluationError("no such overload")


cdef class NewList(Node):
    """`[a, ?b]`; `optional` are the indexes of items that are left out when they are absent."""

    cdef list items
    cdef frozenset optional

    def __init__(self, list items not None, frozenset optional not None):
        self.items = items
        self.optional = optional

    cdef object eval(self, Frame frame):
        cdef list out = []
        cdef Py_ssize_t i
        for i in range(len(self.items)):
            value = (<Node>self.items[i]).eval(frame)
            if i in self.optional:
                if type(value) is not Optional:
                    words = "cannot initialize optional list element from non-optional value "
                    raise EvaluationError(words + show(value))
                if not (<Optional>value).present:
                    continue
                value = (<Optional>value).value
            out.append(value)
        charge(frame, LIST_COST)
        return out


cdef class NewMap(Node):
    """`{a: b, ?c: d}`; `optional` are the indexes of entries that are left out when their value is absent."""

    cdef list keys
    cdef list values
    cdef frozenset optional

    def __init__(self, list keys not None, list values not None, frozenset optional not None):
        self.keys = keys
        self.values = values
        self.optional = optional

    cdef object eval(self, Frame frame):
        cdef dict out = {}
        cdef Py_ssize_t i
        for i in range(len(self.keys)):
            key = (<Node>self.keys[i]).eval(frame)
            value = (<Node>self.values[i]).eval(frame)
            if i in self.optional:
                if type(value) is not Optional:
                    raise EvaluationError(optional_entry(key, value))
                if not (<Optional>value).present:
                    out.pop(key, None)
                    continue
                value = (<Optional>value).value
            if kind_of(key) not in (K_STRING, K_INT, K_UINT, K_BOOL):
                raise EvaluationError("unsupported key type: " + type_name(key))
            if find_in(out, key, frame) is not MISSING:
                raise EvaluationError("Failed with repeated key")
            out[key] = value
        charge(frame, MAP_COST)
        return out


cdef str optional_entry(object key, object value):
    return f"cannot initialize optional entry '{show(key)}' from non-optional value {show(value)}"


cdef class NewStruct(Node):
    """`Name{a: b, ?c: d}`."""

    cdef str name
    cdef list names
    cdef list values
    cdef frozenset optional

    def __init__(
        self, str name not None, list names not None, list values not None, frozenset optional not None
    ):
        self.name = name
        self.names = names
        self.values = values
        self.optional = optional

    cdef object eval(self, Frame frame):
        cdef dict out = {}
        cdef Py_ssize_t i
        for i in range(len(self.names)):
            value = (<Node>self.values[i]).eval(frame)
            if i in self.optional:
                if type(value) is not Optional:
                    raise EvaluationError(optional_entry(self.names[i], value))
                if not (<Optional>value).present:
                    out.pop(self.names[i], None)
                    continue
                value = (<Optional>value).value
            out[self.names[i]] = value
        charge(frame, STRUCT_COST)
        return Struct(self.name, out)
