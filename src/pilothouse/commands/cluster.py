"""`pilothouse cluster`: looks after the logical clusters of a server that runs with --clusters."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.clusters.definition import GROUP, KIND, PLURAL, VERSION
from pilothouse.commands import cluster_access, output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.cluster_contexts import ClusterContexts
from pilothouse.commands.cluster_objects import call
from pilothouse.configuration import options
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest

SERVER_FLAGS = ("data-dir", "write-kubeconfig")
KUBECONFIG = Flag(
    "kubeconfig",
    "file",
    "",
    "command",
    "Credentials for the server's own cluster. Default: $KUBECONFIG, admin.kubeconfig in --data-dir,"
    " ~/.kube/config.",
)
WAIT = Flag("wait", "bool", True, "command", "Wait until it is done.")
MAKING = (
    Flag("objects", "int", 0, "command", "The most objects that the cluster may hold."),
    Flag("bytes", "string", "", "command", "The most bytes that its objects may have, such as 10Mi."),
    Flag("kubeconfig-secret", "string", "", "command",
         "NAMESPACE/NAME of a Secret in which the server keeps a kubeconfig for the cluster."),
    WAIT,
)  # fmt: skip
TOKEN_KEY = Flag(
    "token-key",
    "file",
    "",
    "command",
    "Write the key of the cluster's service account tokens to this file as well. It keeps them good as sa.key"
    " in the new data directory, where --service-account-issuer names the cluster's issuer, too.",
)
FLAGS = (
    KUBECONFIG,
    output.FLAG,
    *MAKING,
    *cluster_access.KUBECONFIG_FLAGS,
    cluster_access.ROOT,
    TOKEN_KEY,
)
USAGE = """Look after logical clusters: API servers of their own within one server (serve --clusters).

Usage:
  pilothouse cluster list [flags]               List them.
  pilothouse cluster create NAME... [flags]     Create some, within --objects and --bytes.
  pilothouse cluster copy SOURCE NAME [flags]   Create one that begins with the objects of another.
  pilothouse cluster snapshot NAME [COPY]       Keep one as it is now: make a copy that is suspended. `copy COPY NEW` brings it back.
  pilothouse cluster suspend | wake NAME...     Have them leave memory when no request is open, or not any more.
  pilothouse cluster delete NAME... [flags]     Delete some with all that they hold, and their contexts in your kubeconfig.
  pilothouse cluster kubeconfig NAME... [flags] Print a kubeconfig for some, or for --all; write it (--write-kubeconfig), or add
                                                the contexts to yours (--merge).
  pilothouse cluster use NAME | .. [flags]      Have kubectl talk to one, or to the server's own cluster again (also --root).
                                                Without arguments it says which one that is.
  pilothouse cluster export NAME FILE --data-dir DIR
                                                Write a snapshot from which a server of its own starts, after
                                                `pilothouse snapshot restore FILE --data-dir NEW`. The server may run meanwhile.

All take -o json|yaml, and list takes -o wide.

kubeconfig and use sign a client certificate with the CA in --data-dir. Without it they take the kubeconfig that the server keeps in
a Secret (--kubeconfig-secret of create).
"""  # noqa: E501
SNAPSHOT_OF = f"{PLURAL}.{GROUP}/snapshot-of"
"""The label of a snapshot that names its source."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PATIENCE = 60.0
"""Seconds that a cluster may take to become ready, or to be gone."""
ATTEMPTS = 5
"""Tries to change an object that others change, too."""
_KNOWN: Mapping[str, Sequence[Flag]] = {
    "list": (KUBECONFIG, output.FLAG),
    "create": (KUBECONFIG, output.FLAG, *MAKING),
    "copy": (KUBECONFIG, output.FLAG, *MAKING),
    "snapshot": (KUBECONFIG, output.FLAG, WAIT),
    "suspend": (KUBECONFIG, output.FLAG),
    "wake": (KUBECONFIG, output.FLAG),
    "delete": (KUBECONFIG, output.FLAG, WAIT),
    "kubeconfig": (KUBECONFIG, output.FILE_FLAG, *cluster_access.KUBECONFIG_FLAGS),
    "use": (KUBECONFIG, *cluster_access.USE_FLAGS, output.FLAG),
    "export": (KUBECONFIG, TOKEN_KEY, output.FLAG),
}


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    command = arguments[0] if arguments else ""
    if command not in _KNOWN:
        raise FlagError(f'unknown command "{command}" for "pilothouse cluster"', nearest(command, _KNOWN))
    config, values, rest = options.parse_command(arguments[1:], _KNOWN[command])
    output.chosen(values["output"], output.DOCUMENTS if command == "kubeconfig" else output.FORMATS)
    whole = {
        "delete": _delete,
        "export": _export,
        "use": cluster_access.use,
        "kubeconfig": cluster_access.kubeconfig,
    }
    if command in whole:
        whole[command](config, values, rest)
    else:
        with contextlib.closing(_own_cluster(config, values["kubeconfig"])) as api:
            _COMMANDS[command](api, values, rest)


def _own_cluster(config: Config, named: str) -> Api:
    """The API of the server's own cluster, also while a logical one is in use."""
    path = kubeconfig_of(config.data, named)
    return Api(path, ClusterContexts.read(path).root).held()


def _export(config: Config, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    from pilothouse.commands import cluster_export  # what it reads with takes half a second to import

    cluster_export.run(config, values, rest)


def _list(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    if rest:
        raise FlagError(f'"pilothouse cluster list" does not take any arguments, got {list(rest)}')
    form = values["output"]
    if form in output.DOCUMENTS:
        print(output.document(call(api, "GET"), form))
        return
    table = call(api, "GET", accept=TABLE)
    shown = [
        place
        for place, column in enumerate(table["columnDefinitions"])
        if form == output.WIDE or not column.get("priority")
    ]
    head = [table["columnDefinitions"][place]["name"].upper() for place in shown]
    rows = [[_cell(row["cells"][place]) for place in shown] for row in table["rows"] or ()]
    print("\n".join(output.columns([head, *rows], "   ")))


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _create(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    spec = _spec(values)
    names = _names("create", rest)
    with output.Results(values["output"]) as results:
        for name in names:
            _make(api, name, spec, values)
            results.add(f'cluster "{name}" created', name=name, result="created")


def _copy(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    if len(rest) != 2:
        raise FlagError('"pilothouse cluster copy" takes SOURCE and NAME')
    source, name = rest
    call(api, "GET", source)
    _make(api, name, {**_spec(values), "copyOf": source}, values)
    told = [f'cluster "{name}" created as a copy of "{source}"']
    output.tell({"name": name, "result": "created", "copyOf": source}, values["output"], told)


def _snapshot(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    if not 1 <= len(rest) <= 2:
        raise FlagError('"pilothouse cluster snapshot" takes NAME, and the name of the copy')
    source = rest[0]
    name = rest[1] if len(rest) == 2 else f"{source}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    call(api, "GET", source)
    _make(api, name, {"copyOf": source, "suspend": True}, values, {SNAPSHOT_OF: source})
    told = [f'cluster "{source}" is kept as "{name}"']
    output.tell({"name": name, "result": "created", "copyOf": source}, values["output"], told)


def _spec(values: Mapping[str, Any]) -> Object:
    """The spec of a new cluster, by the flags."""
    limits = {name: values[name] for name in ("objects", "bytes") if values[name]}
    spec: Object = {"limits": limits} if limits else {}
    if values["kubeconfig-secret"]:
        namespace, _, name = values["kubeconfig-secret"].partition("/")
        if not (namespace and name):
            raise FlagError(f"--kubeconfig-secret takes NAMESPACE/NAME, got {values['kubeconfig-secret']!r}")
        spec["kubeconfigSecret"] = {"namespace": namespace, "name": name}
    return spec


def _make(
    api: Api, name: str, spec: Object, values: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> None:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    made = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": spec}
    call(api, "POST", body=made)
    if values["wait"]:
        _until(lambda: _is_ready(call(api, "GET", name)), f'cluster "{name}" is not ready')


def _is_ready(obj: Object) -> bool:
    """Whether a cluster answers requests; ValueError when the server says why it does not."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ready: Object = next((one for one in conditions if one["type"] == "Ready"), {})
    if ready.get("status") == "False":
        name = obj["metadata"]["name"]
        raise ValueError(f'cluster "{name}" was created, but is not ready: {ready.get("message")}')
    return ready.get("status") == "True"


def _delete(config: Config, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    names, path = _names("delete", rest), kubeconfig_of(config.data, values["kubeconfig"])
    own = contextlib.closing(_own_cluster(config, values["kubeconfig"]))
    with own as api, output.Results(values["output"]) as results:
        for name in names:
            uid = call(api, "GET", name)["metadata"]["uid"]
            call(api, "DELETE", name, {"preconditions": {"uid": uid}})
            if values["wait"]:
                _until(partial(_is_gone, api, name, uid), f'cluster "{name}" is not gone')
            results.add(f'cluster "{name}" deleted', name=name, result="deleted")
            cluster_access.forget(path, values["kubeconfig"], name, api.config.server)


def _is_gone(api: Api, name: str, uid: str) -> bool:
    try:
        return bool(call(api, "GET", name)["metadata"]["uid"] != uid)
    except ApiError as error:
        if error.status != 404:
            raise
        return True


def _suspend(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    names = _names("suspend", rest)
    with output.Results(values["output"]) as results:
        for name in names:
            set_suspended(api, name, suspend=True)
            line = f'cluster "{name}" suspended: it leaves memory when no request is open'
            results.add(line, name=name, result="suspended")


def _wake(api: Api, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    names = _names("wake", rest)
    with output.Results(values["output"]) as results:
        for name in names:
            set_suspended(api, name, suspend=False)
            results.add(f'cluster "{name}" is not suspended any more', name=name, result="awake")


def set_suspended(api: Api, name: str, *, suspend: bool) -> None:
    """Change whether a cluster is suspended, beside what others change of it."""
    for attempt in range(ATTEMPTS):
        obj = call(api, "GET", name)
        spec = obj.setdefault("spec", {})
        if bool(spec.get("suspend")) == suspend:
            return
        spec["suspend"] = suspend
        try:
            call(api, "PUT", name, obj)
            return
        except ApiError as error:
            if error.status != 409 or attempt == ATTEMPTS - 1:
                raise


def _names(command: str, rest: Sequence[str]) -> Sequence[str]:
    if not rest:
        raise FlagError(f'"pilothouse cluster {command}" needs the names of clusters')
    return rest


def _until(done: Callable[[], bool], problem: str) -> None:
    """Ask until it is done, more seldom each time."""
    pause, ends = 0.005, time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > ends:
            raise ValueError(f"{problem} after {PATIENCE:.0f} s")
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


_COMMANDS: Mapping[str, Callable[[Api, Mapping[str, Any], Sequence[str]], None]] = {
    "list": _list,
    "create": _create,
    "copy": _copy,
    "snapshot": _snapshot,
    "suspend": _suspend,
    "wake": _wake,
}
