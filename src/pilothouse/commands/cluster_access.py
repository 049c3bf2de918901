"""`pilothouse cluster kubeconfig | use`: credentials for a logical cluster, and which one kubectl asks."""

import base64
import contextlib
import datetime
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pilothouse import pki
from pilothouse.api.values.fields import Object
from pilothouse.authn.x509 import scope_unit
from pilothouse.commands import cluster_objects, output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.cluster_contexts import ClusterContexts, Origin
from pilothouse.commands.kubeconfig import put, server_of
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.outbound.http import Trust
from pilothouse.outbound.kubeconfig import Kubeconfig

USER, GROUPS = "kubernetes-admin", ("system:masters",)
"""The user and the groups of a certificate when no flag names others."""
OF_CERTIFICATE = (
    Flag("user", "string", "", "command", f"Issue the certificate for this user. Default: {USER}."),
    Flag("group", "strings", (), "command",
         f"Groups of the user; repeatable. Default without --user: {GROUPS[0]}."),
    Flag("duration", "duration", 0.0, "command", "How long the certificate is good. Default: a year."),
)  # fmt: skip
OF_CONTEXT = (
    Flag("server", "string", "", "command",
         "URL of the server in the kubeconfig. Default: as in the one that leads to its own cluster."),
    Flag("context", "string", "", "command", "Name of the context. Default: that of the cluster."),
)  # fmt: skip
MERGE = Flag("merge", "bool", False, "command",
             "Add the contexts to a kubeconfig that has others: --write-kubeconfig, else yours (--kubeconfig,"
             " $KUBECONFIG or ~/.kube/config).")  # fmt: skip
ALL = Flag("all", "bool", False, "command", "Contexts for all clusters that there are.")
ROOT = Flag("root", "bool", False, "command", "Go back to the server's own cluster.")
KUBECONFIG_FLAGS = (*OF_CERTIFICATE, *OF_CONTEXT, MERGE, ALL)
USE_FLAGS = (*OF_CERTIFICATE, *OF_CONTEXT, ROOT)
PREFIX = "/clusters/"
"""How the paths of logical clusters begin."""


class NoCredentialsError(ValueError):
    """There is neither a CA that could sign a certificate nor a Secret that has one."""


def kubeconfig(config: Config, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    """Print a kubeconfig with a context for each cluster, write it, or add the contexts to another one."""
    if bool(rest) == values["all"]:
        raise FlagError('"pilothouse cluster kubeconfig" takes the names of clusters, or --all')
    if values["context"] and len(rest) != 1:
        raise FlagError("--context is for one cluster")
    if values["merge"] and values["output"] != output.FILE_FLAG.default:
        raise FlagError(f"--merge and --output={values['output']} exclude each other")
    source = ClusterContexts.read(kubeconfig_of(config.data, values["kubeconfig"]))
    target = ClusterContexts(Path())
    if values["merge"]:
        written = config.data.write_kubeconfig
        target = ClusterContexts.read(Path(written or _target(values["kubeconfig"])), missing=True)
    with contextlib.closing(ClusterDoors(config, values, source)) as doors:
        names = rest or doors.names()
        for name in names:
            target.put(values["context"] or name, Origin(name, source.root), *doors.access(name))
    if not values["merge"]:
        put(config.data, target.text(), values["output"])
        return
    target.save()
    print(f"{target.path} has contexts for {', '.join(names)}")


def use(config: Config, values: Mapping[str, Any], rest: Sequence[str]) -> None:
    """Switch to a cluster, or back to the server's own, or say which one is in use."""
    back = values["root"] or list(rest) == [".."]
    if len(rest) > 1 or (values["root"] and rest):
        raise FlagError('"pilothouse cluster use" takes the name of one cluster, or .., or --root')
    target = ClusterContexts.read(_target(values["kubeconfig"]), missing=True)
    if back:
        target.switch(target.root)
        target.save()
    elif rest:
        target = _used(config, values, rest[0], values["context"] or rest[0])
        target.save()
    elif not target.current:
        raise ValueError(f"{target.path} has no current context")
    _tell(target, values["output"])


def _used(config: Config, values: Mapping[str, Any], name: str, context: str) -> ClusterContexts:
    """The user's kubeconfig with a cluster's context as the current one. A context that is there is enough
    where no other credentials can be had."""
    try:
        target = _merged(config, values, name, context)
    except NoCredentialsError:
        target = ClusterContexts.read(_target(values["kubeconfig"]), missing=True)
        known = target.origin_of(context)
        if known is None or known.cluster != name:
            raise
    target.switch(context)
    return target


def forget(path: Path, named: str, name: str, server: str) -> None:
    """Remove the contexts that lead to a cluster, which is deleted, from the kubeconfig with the credentials
    and from the user's own. What others have changed meanwhile stays."""
    for known in dict.fromkeys((path, _target(named))):
        if not known.exists():
            continue
        contexts = ClusterContexts.read(known)
        if gone := contexts.forget(name, server):
            contexts.save()
            print(f"removed the context {', '.join(gone)} from {known}", file=sys.stderr)


def _tell(target: ClusterContexts, form: str) -> None:
    context, origin = target.current, target.origin
    server = target.server(context)
    told = {"cluster": origin.cluster if origin else "", "context": context, "server": server}
    what = f'Logical cluster "{origin.cluster}"' if origin else "No logical cluster"
    output.tell(told, form, [f'{what}: context "{context}", {server}'])


def _target(named: str) -> Path:
    """The user's kubeconfig, in which kubectl looks up its context; it need not exist."""
    if named:
        return Path(named)
    given = [Path(one) for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    own = Path.home() / ".kube" / "config"
    return next((path for path in given if path.exists()), given[0] if given else own)


def _merged(config: Config, values: Mapping[str, Any], name: str, context: str) -> ClusterContexts:
    """The user's kubeconfig with a context for a cluster, not written yet."""
    source = ClusterContexts.read(kubeconfig_of(config.data, values["kubeconfig"]))
    target = ClusterContexts.read(_target(values["kubeconfig"]), missing=True)
    with contextlib.closing(ClusterDoors(config, values, source)) as doors:
        access = doors.access(name)
    if target.path != source.path:
        target.adopt(source, source.root)
    target.put(context, Origin(name, source.root), *access)
    return target


class ClusterDoors:
    """Makes credentials for the clusters of one server: certificates by the CA in the data directory, else
    what the Secret of a cluster has."""

    def __init__(self, config: Config, values: Mapping[str, Any], source: ClusterContexts) -> None:
        self._api = Api(source.path, source.root).held()
        self._values = values
        self._directory = config.data.directory
        self._named = "data-dir" in config.given
        self._signs = (self._directory / "ca.key").exists()
        self._tried = False
        self._server = server_of(values).rstrip("/")

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def names(self) -> list[str]:
        """All clusters."""
        names = [str(one["metadata"]["name"]) for one in cluster_objects.call(self._api, "GET")["items"]]
        if not names:
            raise ValueError(f"{self._api.config.server} has no logical clusters yet")
        return names

    def access(self, name: str) -> tuple[Kubeconfig, Object]:
        """Where a cluster is reached and how it is trusted, and credentials that it accepts."""
        obj = cluster_objects.call(self._api, "GET", name)
        known = self._api.config.trust
        trust = Trust(ca=known.ca, insecure=known.insecure, server_name=known.server_name)
        found = Kubeconfig(f"{self._api.config.server.rstrip('/')}{PREFIX}{name}", [], trust)
        credentials = self._credentials(found, obj)
        if self._server:
            found = found._replace(server=f"{self._server}{PREFIX}{name}")
        return found, credentials

    def _credentials(self, found: Kubeconfig, obj: Object) -> Object:
        name, secret = obj["metadata"]["name"], (obj.get("spec") or {}).get("kubeconfigSecret")
        if self._signs:
            cert, key = _issued(self._directory, self._values, obj["metadata"]["uid"])
            if self._tried or _accepted(found._replace(trust=replace(found.trust, cert=cert, key=key))):
                self._tried = True
                return {"client-certificate-data": _text(cert), "client-key-data": _text(key)}
            if secret is None or self._named:
                raise NoCredentialsError(
                    f"{found.server} does not accept a certificate by the CA in {self._directory}: that is"
                    " the data directory of another server, say --data-dir"
                )
            self._signs = False
        if secret is None:
            raise NoCredentialsError(
                f'there are no credentials for the cluster "{name}": say --data-dir of its server'
                f" ({self._directory} has no CA of it), or have the server keep a kubeconfig in a Secret"
                " (spec.kubeconfigSecret)"
            )
        for flag in OF_CERTIFICATE:
            if self._values[flag.name]:
                raise FlagError(f"--{flag.name} needs the CA of the server: say --data-dir")
        return _kept(self._api, name, secret)


def _issued(directory: Path, values: Mapping[str, Any], uid: str) -> tuple[bytes, bytes]:
    if values["group"] and not values["user"]:
        raise FlagError("--group needs --user")
    if values["duration"] < 0:
        raise FlagError("--duration must be longer than 0")
    groups = values["group"] if values["user"] else GROUPS
    cert, key = directory / "ca.crt", directory / "ca.key"
    authority = pki.CertificateAuthority.load(cert, key, datetime.timedelta(0))
    if authority is None:
        raise ValueError(f"the CA in {cert} and {key} cannot be used")
    days = values["duration"] / 86400 or pki.LEAF_DAYS
    return authority.issue(values["user"] or USER, groups, server=False, days=days, unit=scope_unit(uid))


def _accepted(found: Kubeconfig) -> bool:
    """Whether a cluster lets a certificate in."""
    try:
        Api(found).call("GET", "/version")
    except ApiError as error:
        if error.status != 401:
            raise
        return False
    return True


def _kept(api: Api, name: str, place: Object) -> Object:
    """The credentials in the Secret of a cluster."""
    where = f"/api/v1/namespaces/{place['namespace']}/secrets/{place['name']}"
    text = (api.call("GET", where).get("data") or {}).get("value", "")
    try:
        (entry,) = yaml.safe_load(base64.b64decode(text))["users"]
        user: Object = entry["user"]
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise ValueError(
            f'the Secret {place["namespace"]}/{place["name"]} has no kubeconfig for the cluster "{name}"'
        ) from None
    return user


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
