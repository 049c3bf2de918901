# Part of _fieldset.pyx, whose Node it walks: the set of a value (from_object), and of a new one (whole).


DEF MAX_PLANS = 16  # of one struct: with the most members they take 100 KB
DEF MAX_PLANNED = 64  # members


def from_object(type, value):
    """The set of all fields that an applied configuration contains."""
    cdef dict out = {}
    collect(compile_type(type), value, out)
    return in_order(out)


cdef bint collect(Node node, object value, dict out) except -1:
    """Add the paths below `value` to `out`; returns true if the value itself is a leaf."""
    cdef Form form = node.handler(node.form(value))
    step()
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
        step()
        field = node.fields.get(name)
        if field is not None:
            element, inner = <str>(<tuple>field)[0], <Node>(<tuple>field)[1]
        else:
            element, inner = "f:" + name, node.element
            if inner is None:
                raise FieldError("field not declared in schema")
        child = {}
        member = collect(inner, item, child)
        member = member or field is None or item is None or (isinstance(item, dict) and not item)
        kept = seal(child, member)
        if kept is not None:
            out[element] = kept


cdef collect_list(Node node, list value, dict out):
    cdef dict child
    elements = [item_element(node, item) for item in value]
    seen = {}
    for element in elements:
        step()
        seen[element] = seen.get(element, 0) + 1
    for element, item in zip(elements, value):
        step()
        child = {}
        if seen[element] == 1:
            collect(node.item, item, child)
        out[element] = seal(child, True)


cdef dict whole(Node node, object value):
    """The dict of an element that was added or removed as a whole:
    the element and all below it are members."""
    cdef Form form = node.handler(node.form(value))
    step()
    if form == MAP:
        if node.map_atomic or not isinstance(value, dict) or not <dict>value:
            return LEAF
        if node.element is None and len(<dict>value) <= MAX_PLANNED:
            return whole_struct(node, <dict>value)
        return whole_map(node, <dict>value)
    if form == LIST:
        if node.list_atomic or not isinstance(value, list) or not <list>value:
            return LEAF
        return whole_list(node, <list>value)
    return LEAF


cdef dict whole_list(Node node, list value):
    cdef dict out = {SELF: LEAF}
    for i, item in enumerate(value):
        step()
        try:
            element = item_element(node, item)
        except FieldError as err:
            raise FieldError(f"element {i}: {err}") from None
        out[element] = LEAF if element in out else whole(node.item, item)   # several are owned as one
    return in_order(out)


cdef class Plan:
    """How the set of a struct with some members is made, in upstream's order."""
    cdef tuple names
    cdef dict flat  # the set itself, when no member has members of its own
    cdef tuple deep  # (name, path element, Node) of the members that may have members of their own

    def __init__(self, Node node, tuple names):
        found = []
        for name in names:
            field = node.fields.get(name)
            if field is None:
                raise FieldError(f".{name}: field not declared in schema")
            found.append((name, *field))
        found.sort()
        self.names = names
        self.flat = {SELF: LEAF, **{element: LEAF for _, element, _ in found}}
        self.deep = tuple([member for member in found if not (<Node>member[2]).flat()])

    cdef bint fits(self, dict value):
        """Whether a struct has these members in this order. The same names are the same objects, mostly."""
        cdef PyObject *name
        cdef PyObject *item
        cdef Py_ssize_t at = 0, i = 0
        if len(value) != len(self.names):
            return False
        while PyDict_Next(value, &at, &name, &item):
            if <object>name is not self.names[i]:
                return False
            i += 1
        return True


cdef Plan plan_of(Node node, dict value):
    """PERF: the structs of a type have few combinations of members, and those of a list mostly one."""
    cdef tuple names
    if node.plan is not None and node.plan.fits(value):
        return node.plan
    names = PyList_AsTuple(PyDict_Keys(value))
    node.plan = <Plan>node.plans.get(names)
    if node.plan is None:
        node.plan = Plan(node, names)
        if len(node.plans) >= MAX_PLANS:
            node.plans.clear()
        node.plans[names] = node.plan
    return node.plan


cdef dict whole_struct(Node node, dict value):
    cdef Plan plan = plan_of(node, value)
    cdef dict out = plan.flat
    cdef dict child
    for member in plan.deep:
        step()
        child = whole(<Node>(<tuple>member)[2], value[(<tuple>member)[0]])
        if child is not LEAF:
            if out is plan.flat:
                out = PyDict_Copy(out)
            out[<str>(<tuple>member)[1]] = child
    return out


cdef dict whole_map(Node node, dict value):
    cdef PyObject *name
    cdef PyObject *item
    cdef PyObject *field
    cdef Py_ssize_t at = 0
    cdef dict out = {SELF: LEAF}
    while PyDict_Next(value, &at, &name, &item):
        step()
        field = PyDict_GetItemWithError(node.fields, <object>name)
        if field is not NULL:
            out[<str>(<tuple>field)[0]] = whole(<Node>(<tuple>field)[1], <object>item)
        elif node.element is not None:
            out["f:" + <str>name] = whole(node.element, <object>item)
        else:
            raise FieldError(f".{<str>name}: field not declared in schema")
    return in_order(out)
