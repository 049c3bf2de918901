# Part of _fieldset.pyx, whose Node it walks: validation of an applied configuration (validate, check).


DEF MAX_TOLD = 65536  # characters of messages, after which validation stops: each message contains its path


cdef class Complaints:
    """The errors in a value, and the path of the current element, which is formatted only for an error."""
    cdef list texts
    cdef list way  # path elements, indexes as numbers
    cdef Py_ssize_t told
    cdef bint duplicates

    def __init__(self, bint duplicates):
        self.texts = []
        self.way = []
        self.told = 0
        self.duplicates = duplicates

    cdef add(self, str message):
        cdef str text = "".join([step_text(step) for step in self.way]) + message
        self.texts.append(text)
        self.told += len(text)


cdef str step_text(object step):
    return f"[{step}]" if isinstance(step, int) else element_text(step)


def validate(type, value, bint duplicates=False):
    """Validate a value; returns upstream's messages. `duplicates` allows lists to repeat a key."""
    cdef Complaints out = Complaints(duplicates)
    check(compile_type(type), value, out)
    return out.texts


def fault_text(list wrong):
    """One fault, or all in lines (structured-merge-diff ValidationErrors)."""
    return wrong[0] if len(wrong) == 1 else "\n  ".join(["errors:", *wrong])


cdef check(Node node, object value, Complaints out):
    cdef Form form = node.handler(node.form(value))
    step()
    if value is None or out.told >= MAX_TOLD:
        return
    if form == SCALAR:
        check_scalar(node, value, out)
    elif form == MAP:
        if not isinstance(value, dict):
            out.add(f": expected map, got &{{{go(value)}}}")
            return
        for name, item in value.items():
            step()
            field = node.fields.get(name)
            inner = (<tuple>field)[1] if field is not None else node.element
            if inner is None:
                out.add(f".{name}: field not declared in schema")
                return
            out.way.append((<tuple>field)[0] if field is not None else "f:" + name)
            check(<Node>inner, item, out)
            out.way.pop()
    elif not isinstance(value, list):
        out.add(f": expected list, got &{{{go(value)}}}")
    else:
        check_list(node, <list>value, out)


cdef check_list(Node node, list value, Complaints out):
    seen = set()
    for i, item in enumerate(value):
        step()
        if node.list_atomic:
            out.way.append(i)
        else:
            try:
                element = item_element(node, item)
            except FieldError as err:
                out.add(f": element {i}: {err}")
                return
            if element in seen and not out.duplicates and out.told < MAX_TOLD:
                out.add(f": duplicate entries for key {element_text(element)}")
            seen.add(element)
            out.way.append(element)
        check(node.item, item, out)
        out.way.pop()


cdef check_scalar(Node node, object value, Complaints out):
    cdef bint number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if node.scalar == NUMERIC:
        if not number:
            out.add(f": expected numeric (int or float), got {go_type(value)}")
    elif node.scalar == STRING:
        if not isinstance(value, str):
            out.add(f": expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}")
    elif node.scalar == BOOLEAN:
        if not isinstance(value, bool):
            out.add(f": expected boolean, got &{{{go(value)}}}")
    elif isinstance(value, (dict, list)):
        out.add(f": expected any scalar, got &{{{go(value)}}}")


def go(value):
    """Format JSON data as Go's %v does."""
    if isinstance(value, dict):
        return f"map[{' '.join([f'{name}:{go(value[name])}' for name in sorted(value)])}]"
    if isinstance(value, list):
        return f"[{' '.join([go(item) for item in value])}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def go_type(value):
    """Format the type of JSON data as Go's %T does."""
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
    """Format JSON data as Go's %#v does."""
    if isinstance(value, dict):
        members = [f"{_shown(k)}:{go_syntax(value[k])}" for k in sorted(value)]
        return go_type(value) + "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return go_type(value) + "{" + ", ".join([go_syntax(item) for item in value]) + "}"
    if value is None:
        return "interface {}(nil)"
    return _shown(value)
