# Part of _fieldset.pyx, whose Node it walks: values changed by sets and by configurations (remove, merge,
# reconcile).


def with_named_members(type, dict fields):
    """The set in which each declared field that leads to a member is a member too."""
    return ensure_named(compile_type(type), fields)


cdef dict ensure_named(Node node, dict fields):
    cdef dict out = {}
    cdef dict child
    cdef Node inner
    step()
    for name, value in fields.items():
        step()
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
    """The value without the members and items in the set;
    maps and lists that become empty inside it remain."""
    return take_out(compile_type(type), value, fields)


cdef object take_out(Node node, object value, dict fields):
    cdef Form form = node.handler(node.form(value))
    cdef dict child
    cdef dict rest
    cdef bint inside = False
    step()
    if form == SCALAR:
        return value
    if form == LIST:
        if not isinstance(value, list) or not value or node.list_atomic:
            return None
        items = []
        for item in value:
            step()
            child = <dict>fields.get(item_element(node, item))
            if child is None:
                items.append(item)
            elif not is_member(child):
                inside = True
                items.append(take_out_inside(node.item, item, child))
        return items if items or inside else None
    if not isinstance(value, dict) or not value or node.map_atomic:
        return None
    rest = {}
    for name, item in value.items():
        step()
        field = node.fields.get(name)
        child = <dict>fields.get("f:" + name)
        if child is None:
            rest[name] = item
        elif not is_member(child):
            inside = True
            below = <Node>(<tuple>field)[1] if field is not None else node.element
            rest[name] = take_out_inside(below, item, child)
    return rest if rest or inside else None


cdef object take_out_inside(Node node, object value, dict fields):
    """Like take_out, but a map or list that loses all its members remains, empty."""
    out = take_out(node, value, fields)
    if out is None and isinstance(value, (dict, list)):
        return type(value)()
    return out


cpdef dict reconcile(type, dict fields):
    """Adapt a set to types that have become atomic since it was written;
    returns the same set if there are none. It may be as a store holds it."""
    cdef Node node = compile_type(type)
    cdef FieldSet one
    if not leads(node):
        return fields
    one = shared_set(fields)
    if one is None:
        return reconcile_children(node, fields)
    if one.fits is not node:
        out = reconcile_children(node, fields)
        if out is not fields:
            return out
        one.fits = node
    return fields


cdef inline bint is_atomic(Node node):
    return node.map_atomic if node.is_map else node.is_list and node.list_atomic


cdef bint leads(Node node) except -1:
    """Whether values of a type are atomic or contain some that are."""
    if node is None or node is _deduced or node is _atomic:
        return False
    if node.leading is None:
        members = tuple(node.elements.items())
        node.leading, node.items_lead = members, True  # meanwhile, as a type may contain itself
        node.leading = tuple([member for member in members if leads(<Node>member[1])])
        node.items_lead = leads(node.element if node.is_map else node.item)
    return node.items_lead or bool(node.leading) or is_atomic(node)


cdef dict reconcile_children(Node node, dict fields):
    cdef PyObject *name
    cdef PyObject *value
    cdef PyObject *found
    cdef Py_ssize_t at = 0
    cdef dict out = fields
    cdef tuple member
    if not node.items_lead and len(node.leading) < len(fields):
        for member in node.leading:
            found = PyDict_GetItemWithError(fields, member[0])
            if found is not NULL:
                out = reconcile_one(out, fields, <str>member[0], <Node>member[1], children(found))
        return out
    while PyDict_Next(fields, &at, &name, &value):
        step()
        if is_self(<str>name):
            continue
        found = PyDict_GetItemWithError(node.elements, <object>name) if node.is_map else <PyObject*>node.item
        if found is NULL:
            found = <PyObject*>node.element
        out = reconcile_one(out, fields, <str>name, <Node>found, children(value))
    return out


cdef dict reconcile_one(dict out, dict fields, str name, Node node, dict child):
    """`out` with the reconciled dict of an element of `fields`, of which it becomes a copy."""
    if not child or not leads(node):
        return out
    changed = LEAF if is_atomic(node) else reconcile_children(node, child)
    if changed is not child:
        if out is fields:
            out = dict(fields)
        out[name] = changed
    return out


def merge(type, live, config):
    """Merge an applied configuration into the live value; both must fit the type."""
    merged = join(compile_type(type), live, config)
    return None if merged is _MISSING else merged


cdef object join(Node node, object live, object config):
    cdef Form before = node.form(live)
    cdef Form after = node.form(config)
    cdef Form form
    cdef bint both_empty
    step()
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
        step()
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
        step()
        if name not in live:
            out[name] = value
    return out if out else _MISSING


cdef object join_lists(Node node, list live, list config):
    """Items of the configuration in its order; live items keep their position relative to common items."""
    cdef list wanted = [item_element(node, item) for item in config]
    cdef list there = [item_element(node, item) for item in live]
    cdef dict new = dict(zip(wanted, config))
    cdef dict old = {}
    cdef list out = []
    cdef Py_ssize_t i = 0, j = 0, s = 0
    for element, item in zip(there, live):
        step()
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
