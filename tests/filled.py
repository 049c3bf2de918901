"""Objects of a kind in which one field after the other is filled: with many items, many keys, long text.

The fields come from the type tree, so a new field of a kind is tested automatically.
"""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from complexity import MOST, assert_linear

from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Object

Path = tuple[str | int, ...]
"""Members and, for the first item of a list, 0."""

SCALARS = (
    "string",
    "int32",
    "int64",
    "number",
    "bool",
    "quantity",
    "intorstring",
    "time",
    "microtime",
    "duration",
)
TIME = "2026-01-01T00:00:00Z"
DISTINCT, SAME, PREFIXED = "distinct", "same", "prefixed"
STYLES = (DISTINCT, SAME, PREFIXED)
PATTERNS = (
    *"['\"./-:,={(aA0\n@~*",
    "['", "']", "a.", "a-", "a/", "./", "../", "0-1,", "a:", "0h", "a=", "{}", "((", "a,", "a b ", "::",
    "TZ=", "iqn.2000-01.a", "BEGIN CERTIFICATE", "$(a)",
)  # fmt: skip
"""The patterns of long texts."""

_ADDRESSES = ("ip", "hostIP", "podIP", "externalIPs", "nameservers", "addresses", "clusterIPs", "address")
_SUBNETS = ("cidr", "except", "podCIDRs", "cidrs", "loadBalancerSourceRanges")
_KNOWN: dict[str, Any] = {
    "protocol": "TCP",
    "operator": "Exists",
    "effect": "NoSchedule",
    "whenUnsatisfiable": "DoNotSchedule",
    "addressType": "IPv4",
    "pathType": "Exact",
    "ipFamilies": "IPv4",
    "accessModes": "ReadWriteOnce",
    "policyTypes": "Ingress",
    "add": "CAP_SYS_ADMIN",
    "path": "/a",
    "port": 80,
    "targetPort": 80,
    "containerPort": 80,
    "terminated": None,
}
"""Values that rules let pass, by the name of their member;
the number of an item would be refused too early."""


class _Salt:
    """Changes with every object that is made, so that no cache of the server knows what stands in it."""

    value = 0


def text(i: int, style: str) -> str:
    """The text of the i-th item."""
    salt = _Salt.value
    return {DISTINCT: f"n{salt}-{i}", SAME: f"same{salt}", PREFIXED: f"{'p' * 40}{salt}-{i}"}[style]


def scalar(type: Type, name: str, i: int, style: str) -> Any:
    """A plain value for the member `name` of the i-th item."""
    number = 1 if style == SAME else i + 1
    if name in _KNOWN:
        return _KNOWN[name]
    if name in _ADDRESSES:
        return _address(number)
    if name in _SUBNETS:
        return f"{_address(number)}/32"
    if type.kind == "string":
        return text(i, style)
    if type.kind in ("int32", "int64", "number", "intorstring"):
        return number
    if type.kind == "quantity":
        return f"{number}{_Salt.value % 1000:03}"
    return {"bool": True, "duration": "1s"}.get(type.kind, TIME)


def _address(number: int) -> str:
    number += _Salt.value * 65537
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def item(type: Type, name: str, i: int, style: str, depth: int = 1) -> Any:
    """The i-th item of a list or map: all plain members, and what is below them to the depth."""
    if type.kind in SCALARS:
        return scalar(type, name, i, style)
    if type.kind != "struct":
        return None
    out = {m: scalar(f.type, m, i, style) for m, f in type.fields.items() if f.type.kind in SCALARS}
    for member, field in type.fields.items() if depth else ():
        inner = field.type
        if inner.kind == "struct":
            out[member] = item(inner, member, i, style, depth - 1)
        elif inner.kind == "list" and inner.items is not None:
            out[member] = [item(inner.items, member, i, style, depth - 1)]
        elif inner.kind == "map" and inner.items is not None:
            out[member] = {text(i, style): item(inner.items, member, i, style, depth - 1)}
    return {m: v for m, v in out.items() if v is not None}


def many(type: Type, name: str, n: int, style: str, depth: int = 0) -> Any:
    """A list of n items or a map of n keys; a map has distinct keys in every style."""
    assert type.items is not None
    if type.kind == "list":
        return [item(type.items, name, i, style, depth) for i in range(n)]
    keys = DISTINCT if style == SAME else style
    return {text(i, keys): item(type.items, name, i, style, depth) for i in range(n)}


def fields(
    type: Type, leave_out: frozenset[str], path: Path = (), above: tuple[str, ...] = ()
) -> Iterator[tuple[Path, Type]]:
    """Every field below a type with its path; `leave_out` are members that are not looked into."""
    if type.kind == "list" and type.items is not None:
        yield from fields(type.items, leave_out, (*path, 0), above)
    if type.kind != "struct" or type.name in above:
        return
    for member, field in type.fields.items():
        if member not in leave_out:
            yield (*path, member), field.type
            yield from fields(field.type, leave_out, (*path, member), (*above, type.name))


def put(root: Type, obj: Object, path: Path, value: Any) -> None:
    """Set the value at a path; what is missing on the way there is made with what is required of it."""
    here: Any = obj
    type = root
    for step, after in pairwise(path):
        type = type.items if step == 0 else type.fields[str(step)].type  # type: ignore[assignment]
        if step == 0 and not here:
            here.append(_required(type))
        elif step != 0 and here.get(step) is None:
            here[step] = [] if after == 0 else _required(type)
        here = here[step]
    here[path[-1]] = value


def _required(type: Type) -> Any:
    return {
        m: scalar(f.type, m, 0, DISTINCT)
        for m, f in type.fields.items()
        if f.required and f.type.kind in SCALARS
    }


Make = Callable[[int], Object]


def filled(root: Type, base: Object, path: Path, value: Callable[[int], Any]) -> Make:
    """Objects like `base` with a value of size n at the path."""

    def make(n: int) -> Object:
        _Salt.value += 1
        obj = copy.deepcopy(base)
        put(root, obj, path, value(n))
        return obj

    return make


def collections(root: Type, base: Object, leave_out: frozenset[str]) -> Iterator[tuple[str, Make]]:
    """For each list and map, in each style: (what it is, objects with n of it)."""
    for path, type in fields(root, leave_out):
        if type.kind in ("list", "map") and type.items is not None:
            for style in STYLES:
                for depth in (0, 1) if type.items.kind == "struct" else (0,):
                    value = lambda n, t=type, p=path, s=style, d=depth: many(t, str(p[-1]), n, s, d)
                    yield f"{'.'.join(map(str, path))} {style} {depth}", filled(root, base, path, value)


def together(root: Type, base: Object, leave_out: frozenset[str]) -> Iterator[tuple[str, Make]]:
    """All lists and maps of all structs of `base` at once, n of each: rules that compare two of them."""
    known = [(p, t) for p, t in fields(root, leave_out) if t.kind in ("list", "map") and t.items is not None]
    paths = [(p, t) for p, t in known if is_there(base, p[:-1])]
    for style in STYLES:

        def make(n: int, style: str = style) -> Object:
            _Salt.value += 1
            obj = copy.deepcopy(base)
            for path, type in sorted(paths, key=lambda pair: -len(pair[0])):
                made = many(type, str(path[-1]), n, style)
                put(root, obj, path, _joined(_at(obj, path), made))
            return obj

        yield f"all {style}", make


def is_there(obj: Any, path: Path) -> bool:
    """Whether an object has a value at a path, in which 0 is the first item of a list."""
    for step in path:
        if not obj or (step != 0 and step not in obj):
            return False
        obj = obj[step]
    return True


def _at(obj: Any, path: Path) -> Any:
    return None if not is_there(obj, path) else obj[path[-1]] if not path else _walk(obj, path)


def _walk(obj: Any, path: Path) -> Any:
    for step in path:
        obj = obj[step]
    return obj


def _joined(old: Any, new: Any) -> Any:
    if isinstance(new, list):
        return [*(old or ()), *new]
    return {**(old or {}), **new}


def texts(root: Type, base: Object, leave_out: frozenset[str]) -> Iterator[tuple[str, Make]]:
    """For each text and each pattern: objects with n characters of it there."""
    for path, type in fields(root, leave_out):
        inner = type.items if type.kind in ("list", "map") else None
        if "string" not in (type.kind, inner.kind if inner is not None else ""):
            continue
        for pattern in PATTERNS:
            value = lambda n, t=type, p=pattern: _holding(t, p * (n // len(p)))
            yield f"{'.'.join(map(str, path))} {pattern!r}", filled(root, base, path, value)


def _holding(type: Type, long: str) -> Any:
    return {"list": [long], "map": {"a": long, long: "a"}}.get(type.kind, long)


def changed(value: Any) -> Any:
    """The same object with its lists turned round and its numbers and texts changed a little, for updates."""
    if isinstance(value, dict):
        return {
            k: v if k in ("apiVersion", "kind", "metadata", "type") else changed(v) for k, v in value.items()
        }
    if isinstance(value, list):
        return [changed(v) for v in reversed(value)]
    if isinstance(value, str):
        return value + "x" if len(value) > 20 else value
    return value


TRIES = 3
"""Measurements that may fail before a rule is called slow: a busy machine has its moments."""


def linear(call: Callable[[Any], Any], make: Callable[[int], Any], n: int, most: float = MOST) -> None:
    """Fail when assert_linear fails every time."""
    for _ in range(TRIES - 1):
        try:
            assert_linear(call, make, n, most)
        except AssertionError:
            continue
        return
    assert_linear(call, make, n, most)
