"""Random changes of objects along their types:
values that fit a member, values that do not, and patches between two."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from pilothouse.api.types.schema import Type

Object = dict[str, Any]
Node = tuple[Any, Any, Type]
"""A place in an object: the list or dict that has it, its key there, and the type of the value."""

ANY = Type("any")
TEXT = Type("string")

WORDS: dict[str, tuple[str, ...]] = {
    "name": ("a", "web", "c2"),
    "namespace": ("default", "kube-system"),
    "kind": ("Pod", "Deployment", "User"),
    "apiVersion": ("v1", "apps/v1", "v1/x/y"),
    "operator": ("In", "NotIn", "Exists", "DoesNotExist", "Equal", "Gt"),
    "effect": ("NoSchedule", "NoExecute"),
    "status": ("True", "False", "Unknown"),
    "type": ("A", "Opaque", "RuntimeDefault", "ClusterIP", "ExternalName", "Pods"),
    "path": ("/a", "a/b"),
    "mountPath": ("/m", "m:n"),
    "ip": ("1.2.3.4", "fd00::1"),
    "cidr": ("10.1.0.0/16", "fd00::/64"),
    "clusterIP": ("None", "10.0.0.77"),
    "ipFamilies": ("IPv4", "IPv6"),
    "protocol": ("TCP", "UDP", "SCTP"),
    "accessModes": ("ReadWriteOnce", "ReadWriteOncePod"),
    "schedule": ("@daily", "0 * * * *", "TZ=UTC * * * * *"),
    "expression": ("true", "self.a", "object.spec.x > 1", "device.driver"),
    "fieldPath": ("metadata.name", "metadata.labels['a']", "status.podIP"),
    "finalizers": ("a.b/c", "foregroundDeletion", "kubernetes"),
    "verbs": ("get", "*"),
    "apiGroups": ("", "apps", "*"),
    "resources": ("pods", "pods/status", "*"),
    "topologyKey": ("kubernetes.io/hostname", "zone"),
    "imagePullPolicy": ("Always", "Never"),
    "restartPolicy": ("Always", "OnFailure"),
    "policy": ("Never", "Always"),
    "uid": ("u1", "11111111-2222-3333-4444-555555555555"),
}
"""Texts that members of a name take."""

ODD_TEXTS = (
    "", " ", "A", "a_b", "a.b", "-a", "a-", "a/b", "/", "..", "/a/../b", "a b", "é", "日本", "\U0001f600", "\x00", "a\nb",
    "x" * 64, "x" * 254, "0", "-1", "1e3", "true", "null", "*", "a,b", "a=b", "%", "%s", "{}", "${X}", "$(A)", "::1",
    "256.1.1.1", "01.2.3.4", "10.0.0.0/33", "http://", "https://[", "example.com/", "k8s.io/x", "kubernetes.io/a/b",
    "nope", "Nope", "1.2.3.4", "a" * 63 + ".b",
)  # fmt: skip
ODD_NUMBERS = (
    0, -1, 1, 2, 3, 100, 101, 65535, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), 10**30, 1.5,
    -0.0, 1e3, 1e300, "1", "", True,
)  # fmt: skip
ODD_QUANTITIES = (
    "", "x", "-1", "1.5Gi", "1e3", "0", "1KiB", 5, 1.5, "0.0001", "1m", "1n", "9" * 20, " 1", "+1", ".5", "5.", "1E", "1Ei",
    "-0", True, None, "1e99", "1e-99", "1E400", "0x1", "1i",
)  # fmt: skip
ODD_TIMES = (
    "", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+02:00", "now", 0,
    "2026-01-01T00:00:00.123456789Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
    "2026-01-01t00:00:00z",
)  # fmt: skip
ODD_PORTS = (
    "",
    "101%",
    "-5%",
    "50%",
    "0%",
    0,
    -1,
    65536,
    "UPPER",
    "a_b",
    "1.5%",
    1.5,
    "x" * 16,
    "a--b",
    "%",
    2**31,
    True,
)
ODD_BYTES = ("***", "YQ", "YQ==", "YQ=", "Y Q==", "", "_-8=", "YWJj\n", "LS0tLS1CRUdJTg==", 1)
ODD_DURATIONS = ("", "1", "1x", "-1s", "1h1m", "1e9s", 1, "999999999h", "1ns", ".5s")
KEYS = (
    "a",
    "app",
    "a.b/c",
    "A.b",
    "",
    "-",
    "a b",
    "é",
    "x" * 64,
    "a/b/c",
    "kubernetes.io/a",
    "9",
    "k8s.io/x",
    "$patch",
)
JUNK: tuple[Any, ...] = (
    1,
    "x",
    True,
    None,
    [],
    {},
    ["x"],
    [None],
    [[]],
    [{}],
    {"x": "y"},
    {"a": {"b": [1, None]}},
    1.5,
)


def child(type: Type, key: Any) -> Type:
    """The type of a member or an item."""
    if type.kind == "struct":
        field = type.fields.get(key) if isinstance(key, str) else None
        return field.type if field is not None else ANY
    if type.kind in ("list", "map", "schemaor") and type.items is not None:
        return type.items if type.kind != "schemaor" else child(type.items, key)
    return ANY


def walk(value: Any, type: Type) -> Iterator[Node]:
    """Every place inside a value."""
    keys: Any = (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        inner = child(type, key)
        yield value, key, inner
        yield from walk(value[key], inner)


class Mutation:
    """Draws values and changes objects; everything hangs on the random numbers that it is given."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def some(self, values: Any) -> Any:
        """One of the values, as a copy."""
        return copy.deepcopy(self.chance.choice(values))

    def odds(self, share: float) -> bool:
        return self.chance.random() < share

    def good(self, type: Type, name: str = "", depth: int = 0) -> Any:
        """A value that a member of this type and name may well take."""
        match type.kind:
            case "struct":
                likely = 0.25 if depth < 2 else 0.06
                return {
                    key: self.good(field.type, key, depth + 1)
                    for key, field in type.fields.items()
                    if depth < 6 and (field.required or key == "name" or self.odds(likely))
                }
            case "list":
                return [self.good(type.items or ANY, name, depth + 1) for _ in range(self.some((1, 1, 2, 3)))]
            case "map":
                return {self.some(KEYS[:3]): self.good(type.items or ANY, name, depth + 1)}
            case "schemaor":
                return self.some(({"type": "string"}, {"type": "object"}, True, False))
            case "string":
                return self.some(WORDS.get(name, ("a", "b-c", "d.example.com")))
            case "bool":
                return self.odds(0.5)
            case "int32" | "int64" | "number":
                return self.some((1, 1, 2, 5, 80, 1000, 0))
            case _:
                return self.some(_GOOD.get(type.kind, ({"a": 1}, {}, [1], "x", {"a": {"b": [1, None]}})))

    def bad(self, type: Type) -> Any:
        """A value at the edge of what this type takes, or beyond it."""
        if self.odds(0.1):
            return self.some(JUNK)
        if type.kind == "map":
            return self.some(({}, [], {self.some(KEYS): self.some(JUNK)}, {"a": None}, "x"))
        if type.kind == "list":
            return self.some(([], {}, ["x"], [None], "x", [{}], [[]], [1, 1]))
        return self.some(_ODD.get(type.kind, JUNK))

    def mutate(
        self, obj: Any, type: Type, times: int = 1, keep: tuple[str, ...] = ("apiVersion", "kind")
    ) -> Any:
        """Change an object in a few random places, and return it.
        Members `keep` of its root stay, and its name."""
        for _ in range(times):
            places = [
                place
                for place in walk(obj, type)
                if not (place[0] is obj and place[1] in keep)
                and not (place[1] == "name" and "labels" in place[0])
            ]
            parent, key, inner = self.chance.choice([*places, (None, "", type)])
            self._change(obj, parent, key, inner)
        return obj

    def _change(self, root: Any, parent: Any, key: Any, type: Type) -> None:
        value = root if parent is None else parent[key]
        ways = ["bad", "bad", "good", "drop", "null", "empty", "junk"] if parent is not None else []
        ways += ["add", "add", "add", "unknown"] if isinstance(value, dict) else []
        ways += ["repeat", "append", "shorten", "turn"] if isinstance(value, list) else []
        match self.chance.choice(ways) if ways else "":
            case "bad":
                parent[key] = self.bad(type)
            case "good":
                parent[key] = self.good(type, key if isinstance(key, str) else "", 1)
            case "drop":
                del parent[key]
            case "null":
                parent[key] = None
            case "empty":
                parent[key] = {dict: {}, list: [], str: "", int: 0, bool: False}.get(value.__class__)
            case "junk":
                parent[key] = self.some(JUNK)
            case "unknown":
                value[self.some(("nope", "Name", "x-y", "spec", *KEYS))] = self.some(JUNK)
            case "add":
                self._add(value, type)
            case way if way:
                self._relist(value, type, way)

    def _add(self, value: Any, type: Type) -> None:
        if type.kind == "struct":
            missing = [name for name in type.fields if name not in value]
            if missing:
                name = self.some(missing)
                inner = type.fields[name].type
                value[name] = self.good(inner, name, 1) if self.odds(0.7) else self.bad(inner)
        elif type.kind == "map":
            value[self.some(KEYS)] = self.good(type.items or ANY, "", 1)
        else:
            value[self.some(KEYS)] = self.some(JUNK)

    def _relist(self, items: list[Any], type: Type, way: str) -> None:
        if way == "append":
            items.append(self.good(type.items or ANY, "", 1))
        elif way == "repeat" and items:
            again = self.some(items)
            if isinstance(again, dict) and again and self.odds(0.5):
                again.pop(self.some(list(again)))
            items.insert(self.chance.randint(0, len(items)), again)
        elif way == "shorten" and items:
            items.pop(self.chance.randrange(len(items)))
        elif way == "turn":
            items.reverse()

    def thinned(self, value: Any, type: Type) -> Any:
        """A part of a value, as one of several appliers would send it; keys of list items stay."""
        if isinstance(value, dict):
            kept = ("apiVersion", "kind", "name", "metadata", *type.list_keys)
            return {
                key: self.thinned(inner, child(type, key))
                for key, inner in value.items()
                if key in kept or self.odds(0.7)
            }
        if isinstance(value, list):
            return [self.thinned(item, child(type, 0)) for item in value if self.odds(0.9)]
        return value


_GOOD: dict[str, tuple[Any, ...]] = {
    "bytes": ("YQ==", ""),
    "time": ("2026-01-01T00:00:00Z",),
    "microtime": ("2026-01-01T00:00:00.000000Z",),
    "duration": ("1s", "5m0s"),
    "quantity": ("1", "100m", "1Gi", "500Mi", "2k", "1.5"),
    "intorstring": (1, 80, "25%", "http"),
}
_ODD: dict[str, tuple[Any, ...]] = {
    "string": ODD_TEXTS,
    "bytes": ODD_BYTES,
    "time": ODD_TIMES,
    "microtime": ODD_TIMES,
    "duration": ODD_DURATIONS,
    "quantity": ODD_QUANTITIES,
    "intorstring": ODD_PORTS,
    "bool": ("true", "", 1, 0, {}),
    **dict.fromkeys(("int32", "int64", "number"), ODD_NUMBERS),
}


def merge_patch(old: Any, new: Any) -> Any:
    """The merge patch (RFC 7386) that makes the one from the other."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    out = {key: None for key in old if key not in new}
    return out | {
        key: merge_patch(old.get(key), value)
        for key, value in new.items()
        if key not in old or old[key] != value
    }


def json_patch(old: Any, new: Any, path: str = "") -> Iterator[Object]:
    """The operations of a JSON patch (RFC 6902) that make the one from the other;
    lists are replaced whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            where = f"{path}/{escaped(key)}"
            if key not in new:
                yield {"op": "remove", "path": where}
            elif key not in old:
                yield {"op": "add", "path": where, "value": new[key]}
            else:
                yield from json_patch(old[key], new[key], where)
    elif json.dumps(old) != json.dumps(new):
        yield {"op": "replace", "path": path, "value": new}


def escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def pointers(value: Any, path: str = "") -> Iterator[str]:
    """The JSON pointer of every place in a value, its root first."""
    yield path
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        yield from pointers(inner, f"{path}/{escaped(key)}")


def odd_operation(mutation: Mutation, obj: Any) -> Object:
    """One operation of a JSON patch at a random place; many are wrong."""
    paths = list(pointers(obj))
    path = mutation.some(paths)
    ends = ("/-", "/0", "/99", "/-1", "/01", "/nope", "/", "/~", "/~2", "/é")
    where = (
        path
        if mutation.odds(0.6)
        else mutation.some((path + mutation.some(ends), path[1:], "", "/nope/x", "/status"))
    )
    step = {
        "op": mutation.some(("add", "remove", "replace", "move", "copy", "test", "add", "replace", "Add", 1)),
        "path": where,
    }
    if step["op"] in ("move", "copy"):
        step["from"] = mutation.some(paths)
    else:
        step["value"] = mutation.some(JUNK)
    if mutation.odds(0.05):
        step.pop(mutation.some(list(step)))
    return step


def direct(mutation: Mutation, patch: Any) -> Any:
    """A strategic merge patch with a directive at a random place."""
    spots = [patch, *(parent[key] for parent, key, _ in walk(patch, ANY))]
    spot = mutation.chance.choice([spot for spot in spots if isinstance(spot, dict | list)] or [patch])
    if isinstance(spot, list):
        spot.append(
            mutation.some(
                ({"$patch": "replace"}, {"$patch": "delete", "name": "a"}, {"$patch": "delete"}, {}, "x")
            )
        )
    elif isinstance(spot, dict):
        key = mutation.some([*spot, "x"])
        spot |= mutation.some(
            (
                {"$patch": mutation.some(("replace", "delete", "merge", "nope", 1, None, {}))},
                {"$retainKeys": mutation.some(([key], [], key, [1], None))},
                {
                    f"$setElementOrder/{key}": mutation.some(
                        ([{"name": "d"}, {"name": "c"}], ["b", "a"], [], None, "x", [None])
                    )
                },
                {f"$deleteFromPrimitiveList/{key}": mutation.some((["a"], [1], [], None, "x", [{}]))},
            )
        )
    return patch
