"""Finds the line of a field in the text of a YAML or JSON document."""

import re

import yaml

_STEP = re.compile(r"\[(\d+)\]|[^.\[\]]+")


def line_of(data: bytes, path: str) -> int | None:
    """The line, from 1, of the field at a path such as `jwt[0].issuer.url`;
    of what is around it when it is missing.

    None when nothing on the path is there, or the document cannot be read.
    """
    try:
        node = yaml.compose(data, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None
    line = None
    for step in _STEP.finditer(path):
        found = _item(node, int(step[1])) if step[1] else _member(node, step[0])
        if found is None:
            break
        at, node = found
        line = at.start_mark.line + 1
    return line


def broken_at(data: bytes) -> int | None:
    """The line, from 1, in which a document cannot be read; None when it can.
    Messages of go-yaml may be one line off."""
    try:
        yaml.compose(data, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        return error.problem_mark.line + 1 if error.problem_mark is not None else None
    except yaml.YAMLError:
        return None
    return None


def _item(node: yaml.Node | None, index: int) -> tuple[yaml.Node, yaml.Node] | None:
    """An item of a list, as where it begins and its value."""
    if not isinstance(node, yaml.SequenceNode) or index >= len(node.value):
        return None
    return node.value[index], node.value[index]


def _member(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    """A member of an object, as its name and its value."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next(((key, value) for key, value in node.value if key.value == name), None)
