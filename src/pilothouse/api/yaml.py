"""The JSON subset of YAML that the API accepts, as sigs.k8s.io/yaml turns it into JSON."""

import functools
import math
import re
from typing import Any

import yaml

MAX_ALIASED = 100_000
"""Values that a document's aliases may repeat: keeps alias bombs from growing."""

MAX_DEPTH = 200
"""How deeply values may be nested here, which includes a value that holds itself."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"))
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_STR = "tag:yaml.org,2002:str"


class YAMLError(ValueError):
    """The text is no YAML, or no YAML that stands for JSON; the message is upstream's."""


class Document:
    """One parsed document: its value, and the lines of keys that were set before."""

    def __init__(self, value: Any, repeated: list[tuple[int, str]]) -> None:
        self.value = value
        self.repeated = repeated

    def strict_error(self) -> str:
        """What the strict converter says of repeated keys, "" when there are none."""
        if not self.repeated:
            return ""
        lines = [f"  line {line}: key {_show_key(key)} already set in map" for line, key in self.repeated]
        return "\n".join(["yaml: unmarshal errors:", *lines])


def _show_key(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Builder:
    def __init__(self, limit: int) -> None:
        self.left = limit
        self.repeated: list[tuple[int, str]] = []

    def build(self, node: yaml.Node, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0:
            raise YAMLError("yaml: document contains excessive aliasing")
        if depth > MAX_DEPTH:
            raise YAMLError(f"yaml: exceeded max depth of {MAX_DEPTH}")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, depth + 1) for item in node.value]
        return self.mapping(node, depth)

    def mapping(self, node: yaml.Node, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.value == "<<" and key_node.tag == "tag:yaml.org,2002:merge":
                self.merge(merged, value_node, depth)
                continue
            key = self.key(key_node)
            if key in out:
                self.repeated.append((key_node.start_mark.line + 1, key))
            out[key] = self.build(value_node, depth + 1)
        return {**merged, **out} if merged else out

    def merge(self, merged: dict[str, Any], node: yaml.Node, depth: int) -> None:
        value = self.build(node, depth + 1)
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                raise YAMLError("yaml: map merge requires map or sequence of maps as the value")
            for key, item in part.items():
                merged.setdefault(key, item)

    def key(self, node: yaml.Node) -> str:
        """A map's key as JSON text: numbers and booleans are spelt out."""
        if not isinstance(node, yaml.ScalarNode):
            kind = "map" if isinstance(node, yaml.MappingNode) else "slice"
            raise YAMLError(f"yaml: invalid map key: {kind}")
        value = _scalar(node)
        if isinstance(value, str):
            return value
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style or _is_tagged_text(node):
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.match(text):
        return _integer(text)
    if _FLOAT.match(text):
        return _whole(float(text))
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        raise YAMLError(f"json: unsupported value: {_special(text)}")
    return text


def _is_tagged_text(node: yaml.ScalarNode) -> bool:
    """Whether a plain scalar says that it is text: PyYAML would else have resolved it to something."""
    if node.tag != _STR:
        return bool(node.tag == "tag:yaml.org,2002:binary")
    resolvers = _Loader.yaml_implicit_resolvers.get(node.value[:1], ())
    return any(pattern.match(node.value) for _, pattern in resolvers)


def _special(text: str) -> str:
    if "nan" in text.lower():
        return "NaN"
    return "-Inf" if text.startswith("-") else "+Inf"


def _integer(text: str) -> Any:
    plain = text.replace("_", "").lstrip("+")
    sign, digits = (-1, plain[1:]) if plain.startswith("-") else (1, plain)
    if digits[:2] in ("0b", "0x", "0o"):
        value = sign * int(digits, 0)
    elif len(digits) > 1 and digits.startswith("0"):
        value = sign * int(digits, 8)
    elif len(digits) > 400:
        return text
    else:
        value = sign * int(digits)
    return value if -(1 << 63) <= value < 1 << 64 else _whole(float(value))


def _whole(value: float) -> Any:
    """JSON has one sort of number: Go writes a whole float without a point."""
    if math.isinf(value) or math.isnan(value):
        raise YAMLError("json: unsupported value: +Inf")
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def parse(data: bytes) -> Document:
    """The first document of a YAML stream; YAMLError with upstream's words."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise YAMLError("yaml: invalid leading UTF-8 octet") from None
    try:
        loader = _Loader(text)
        try:
            node = loader.get_node() if loader.check_node() else None  # what follows is not read
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise YAMLError(_message(error)) from None
    except yaml.YAMLError:
        raise YAMLError("yaml: control characters are not allowed") from None
    builder = _Builder(len(data) + MAX_ALIASED)  # a value that is written out takes at least a byte
    return Document(None if node is None else builder.build(node), builder.repeated)


def _message(error: yaml.MarkedYAMLError) -> str:
    """libyaml's problem as go-yaml words it: a parser's lines count from 0, and line 0 is not shown."""
    line = 0
    for mark in (error.problem_mark, error.context_mark):
        if mark is not None and mark.line:
            line = mark.line + isinstance(error, yaml.scanner.ScannerError)
            break
    where = f"line {line}: " if line else ""
    return f"yaml: {where}{error.problem or 'unknown problem parsing YAML content'}"


_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:\Z|[Tt ])")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_SPECIALS = frozenset(
    ("<<", "=", ".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN")
)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes text as go-yaml does: quoted where it would be read back as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: Any, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if _looks_like_no_text(text) else None
    node: yaml.ScalarNode = dumper.represent_scalar(_STR, text, style)
    return node


def _looks_like_no_text(text: str) -> bool:
    if text in _NULL or text in _TRUE or text in _FALSE or text in _SPECIALS:
        return True
    if not text[:1].isdigit() and text[:1] not in "+-.":
        return False
    plain = text.replace("_", "")
    return any(pattern.match(text if pattern in (_DATE, _BASE_60) else plain) for pattern in _NUMBERS)


_NUMBERS = (_INT, _FLOAT, _DATE, _BASE_60)
_Dumper.add_representer(str, _represent_text)


def dump(value: Any) -> bytes:
    """JSON data as YAML, keys in go-yaml's order."""
    text = yaml.dump(
        _in_order(value),
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
        encoding="utf-8",
    )
    return bytes(text)


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=_natural)}
    if isinstance(value, list):
        return [_in_order(member) for member in value]
    return value


def _compare(a: str, b: str) -> int:
    """Letters after everything else, runs of digits by what they count (go-yaml's keyList)."""
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x == y:
            continue
        if x.isalpha() or y.isalpha():
            return (-1 if x < y else 1) if x.isalpha() and y.isalpha() else (1 if x.isalpha() else -1)
        lead = 0
        if "0" in (x, y):
            before = re.search(r"[0-9]*\Z", a[:at])
            lead = int(bool(before and before.group().strip("0")))
        digits = [re.match(r"[0-9]*", text[at:]).group() for text in (a, b)]  # type: ignore[union-attr]
        counts = [int(f"{lead}{run}") for run in digits]
        if counts[0] != counts[1]:
            return -1 if counts[0] < counts[1] else 1
        if len(digits[0]) != len(digits[1]):
            return -1 if len(digits[0]) < len(digits[1]) else 1
        return -1 if x < y else 1
    return len(a) - len(b)


_natural = functools.cmp_to_key(_compare)
