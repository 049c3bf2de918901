r"""Records what a running kube-apiserver stores of every kind, into tests/data/stored_forms.tar.xz.

    PYTHONPATH=tests python tools/record_forms.py VARIANT https://HOST:PORT http://ETCD:PORT --token TOKEN \
        [--only NAMES]

The server must be fresh, without controllers and with the admission plugin ServiceAccount disabled. Each
object starts from the seed of its kind (tools/fuzz/seeds.py) and grows: a member is kept when the server
takes the object with it in a dry run. What the archive has of the variant is replaced.
"""

import argparse
import base64
import copy
import http.client
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from e2e.custom_kinds import custom_kinds
from e2e.every_kind import every_kind
from e2e.stored_forms import ARCHIVE, Form, load, save
from eventually import eventually
from filled import DISTINCT, Path, fields, is_there, item, many, put
from fuzz.differ import trusting
from fuzz.growth_kinds import collection
from fuzz.seeds import STATUSES, seed

from pilothouse.api.types.schema import Type
from pilothouse.registry.catalog import built_in
from pilothouse.registry.resource import Resource

Object = dict[str, Any]

LAST = ("limitranges", "resourcequotas")
"""The resources that come last, because they restrict what can be created after them."""
OWN_SEED = ("apiservices", "customresourcedefinitions")
"""The resources whose seeds get into the way of each other."""


class Server:
    """One connection to the server, and another to its etcd."""

    def __init__(self, url: str, etcd: str, token: str) -> None:
        parts = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPSConnection(parts.netloc, context=trusting(), timeout=30)
        self._etcd = etcd

    def send(self, method: str, path: str, body: Object | None = None) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def stored(self, key: str) -> tuple[bytes, int] | None:
        """The value of a key and its revision."""
        body = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()
        with urllib.request.urlopen(f"{self._etcd}/v3/kv/range", body, timeout=30) as answer:
            found = json.load(answer).get("kvs")
        return (base64.b64decode(found[0]["value"]), int(found[0]["mod_revision"])) if found else None


def grown(root: Type, obj: Object, taken: Callable[[Object], bool], below: str = "") -> Object:
    """The object with every member that can be added; `below` names one that grows, "" = all but status."""
    leave_out = frozenset({"managedFields", "ownerReferences", "status"} - {below})
    for path, type in fields(root, leave_out):
        if (below and path[0] != below) or path[0] == "metadata" or is_there(obj, path):
            continue
        name = str(path[-1])
        listed = type.kind in ("list", "map") and type.items is not None
        value = many(type, name, 1, DISTINCT, 1) if listed else item(type, name, 0, DISTINCT, 1)
        if value is not None:
            obj = next(filter(taken, larger(root, obj, path, value)), obj)
    return obj


def larger(root: Type, obj: Object, path: Path, value: Any) -> Iterator[Object]:
    """The object with a value at a path; a second one has it in one more item of the path's last list."""
    out = copy.deepcopy(obj)
    put(root, out, path, value)
    yield out
    if len(path) > 2 and path[-2] == 0 and is_there(obj, path[:-1]):
        out = copy.deepcopy(obj)
        items: Any = out
        for step in path[:-2]:
            items = items[step]
        named: Object = {"name": f"n{len(items)}"} if "name" in items[0] else {}
        items.append({**named, str(path[-1]): value})
        yield out


def first(resource: Resource) -> Object:
    """The object from which the one of a kind grows."""
    if resource.plural not in OWN_SEED:
        return seed(resource)
    path = collection(resource)
    return {"apiVersion": resource.api_version, "kind": resource.kind, **every_kind()[path]}


def create(server: Server, resource: Resource) -> str:
    """Make an object of a kind with its status; the path of it, "" if the server does not serve the kind."""
    path = collection(resource)
    if server.send("GET", path)[0] == 404:
        return ""
    assert resource.type_of is not None
    root, obj = resource.type_of(), first(resource)
    obj = grown(root, obj, lambda larger: server.send("POST", f"{path}?dryRun=All", larger)[0] == 201)
    status, made = server.send("POST", path, obj)
    assert status == 201, (path, made)
    path = f"{path}/{json.loads(made)['metadata']['name']}"
    if "status" in resource.subresources:
        _set_status(server, path, root, resource.kind)
    return path


def _set_status(server: Server, path: str, root: Type, kind: str) -> None:
    there = json.loads(server.send("GET", path)[1])
    with_status = {**there, "status": {**there.get("status", {}), **STATUSES.get(kind, {})}}
    dry = f"{path}/status?dryRun=All"
    if server.send("PUT", dry, with_status)[0] == 200:
        there = with_status
    there = grown(root, there, lambda larger: server.send("PUT", dry, larger)[0] == 200, "status")
    while True:  # the server's own controllers write, too
        there["metadata"] = json.loads(server.send("GET", path)[1])["metadata"]
        status, answer = server.send("PUT", f"{path}/status", there)
        if status != 409:
            assert status == 200, answer
            return


def form(server: Server, key: str, paths: list[str]) -> Form:
    """A stored value with the answers to a GET of each path, all of one revision."""
    while True:
        before = server.stored(key)
        answers = {path: server.send("GET", path) for path in paths}
        if before is None or server.stored(key) != before:
            continue
        assert all(status == 200 for status, _ in answers.values()), answers
        return Form(key, before[0], {path: answer for path, (_, answer) in answers.items()})


def key_of(resource: Resource, path: str) -> str:
    name = path.rpartition("/")[2]
    return resource.key_prefix + (f"default/{name}" if resource.namespaced else name)


def record(server: Server, only: list[str]) -> Iterator[Form]:
    """Yield every object that is made, after all of them are."""
    kinds = [r for r in built_in() if not r.virtual and not (only and r.plural not in only)]
    views = [r for r in kinds if r.storage is not None]
    made: dict[str, list[str]] = {}
    for resource in sorted(kinds, key=lambda r: r.plural in LAST):
        path = create(server, resource) if resource.storage is None else ""
        if path:
            name = path.rpartition("/")[2]
            faces = [f"{collection(view)}/{name}" for view in views if view.storage is resource]
            made[key_of(resource, path)] = [path, *faces]
    if not only:
        made |= custom(server)
        made["/registry/namespaces/default"] = ["/api/v1/namespaces/default"]
    for key, paths in made.items():
        yield form(server, key, paths)


def custom(server: Server) -> dict[str, list[str]]:
    """Definitions and an object of each: key -> paths."""
    out: dict[str, list[str]] = {}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for definition, obj in custom_kinds():
        name = definition["metadata"]["name"]
        status, made = server.send("POST", definitions, definition)
        assert status == 201, made
        out[f"/registry/apiextensions.k8s.io/customresourcedefinitions/{name}"] = [f"{definitions}/{name}"]
        spec = definition["spec"]
        within = "namespaces/default/" if spec["scope"] == "Namespaced" else ""
        roots = [
            f"/apis/{spec['group']}/{v['name']}/{within}{spec['names']['plural']}" for v in spec["versions"]
        ]
        eventually(lambda root=roots[0]: server.send("GET", root)[0] == 200, f"{name} is served", 30)  # type: ignore[misc]
        status, made = server.send("POST", roots[0], obj)
        assert status == 201, made
        named = obj["metadata"]["name"]
        key = f"/registry/{spec['group']}/{spec['names']['plural']}/{within[11:]}{named}"
        out[key] = [f"{root}/{named}" for root in roots]
    return out


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="record_forms", description=__doc__)
    parser.add_argument("variant", help="a name for the way in which the server runs")
    parser.add_argument("server")
    parser.add_argument("etcd")
    parser.add_argument("--token", default="", help="a token of an administrator")
    parser.add_argument("--only", default="", help="plurals, separated by commas; the default is everything")
    given = parser.parse_args(arguments)
    server = Server(given.server, given.etcd, given.token)
    found = list(record(server, [name for name in given.only.split(",") if name]))
    save((load() if ARCHIVE.exists() else {}) | {given.variant: found})
    print(f"{len(found)} objects, {ARCHIVE.stat().st_size} bytes in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
