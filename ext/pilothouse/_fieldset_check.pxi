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
