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
