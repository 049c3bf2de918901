"""The contexts of a kubeconfig that lead to logical clusters, beside that of the server's own one.

Such a context has an extension that names its cluster and the context of the server's own cluster, so
commands find the way back.
"""

import base64
import copy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pilothouse.api.values.fields import Object
from pilothouse.clusters.definition import NAME as EXTENSION
from pilothouse.files import write_file
from pilothouse.outbound.kubeconfig import Kubeconfig

FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
"""Members that name files, relative to the kubeconfig."""


class Origin(NamedTuple):
    """The logical cluster that a context leads to, and the context of its server's own cluster."""

    cluster: str
    root: str


class ClusterContexts:
    """The contexts of one kubeconfig. ValueError and OSError when the file cannot be read."""

    def __init__(self, path: Path, document: Object | None = None) -> None:
        self.path = path
        self._document = document or {"apiVersion": "v1", "kind": "Config", "preferences": {}}

    @classmethod
    def read(cls, path: Path, *, missing: bool = False) -> "ClusterContexts":
        """The contexts of a file; with `missing` the file need not exist."""
        if missing and not path.exists():
            return cls(path)
        try:
            document = yaml.safe_load(path.read_bytes()) or {}
        except yaml.YAMLError:
            raise ValueError(f"invalid configuration: {path}: it is no YAML") from None
        if not _is_kubeconfig(document):
            raise ValueError(f"invalid configuration: {path}: it is no kubeconfig")
        return cls(path, document)

    @property
    def current(self) -> str:
        """The name of the current context, "" for none."""
        return self._document.get("current-context") or ""

    @property
    def origin(self) -> Origin | None:
        """The logical cluster that is in use, None for the server's own or another one."""
        return self.origin_of(self.current)

    @property
    def root(self) -> str:
        """The context of the server's own cluster: that from which the current one was made, or itself."""
        if not self.current:
            raise ValueError(f"{self.path} has no current context")
        origin = self.origin
        if origin is None:
            return self.current
        if self._entry("context", origin.root) is None:
            raise ValueError(
                f"{self.path}: the context {self.current} was made from the context {origin.root}, which is"
                " not there: name the kubeconfig of the server's own cluster with --kubeconfig"
            )
        return origin.root

    def origin_of(self, context: str) -> Origin | None:
        """Where a context that one of our commands has made leads to."""
        for one in (self._entry("context", context) or {}).get("extensions") or ():
            said = one.get("extension") if one.get("name") == EXTENSION else None
            if isinstance(said, dict) and said.get("cluster"):
                return Origin(str(said["cluster"]), str(said.get("root")))
        return None

    def server(self, context: str) -> str:
        """The URL to which a context leads, "" when it leads nowhere."""
        found = self._entry("context", context) or {}
        return str((self._entry("cluster", found.get("cluster")) or {}).get("server") or "")

    def put(self, context: str, origin: Origin, found: Kubeconfig, credentials: Object) -> None:
        """Add or change a context with a cluster and a user of its name, and the credentials of that; it
        becomes the current one of a file without any. ValueError when somebody else has made one of them."""
        self._check_ours(context, origin)
        extension = {"name": EXTENSION, "extension": origin._asdict()}
        self._put("cluster", context, server_entry(found))
        self._put("user", context, credentials)
        self._put("context", context, {"cluster": context, "user": context, "extensions": [extension]})
        if not self.current:
            self.switch(context)

    def _check_ours(self, context: str, origin: Origin) -> None:
        known = self.origin_of(context)
        if known == origin:
            return
        for kind in ("context", "cluster", "user"):
            if self._entry(kind, context) is not None:
                leads = f", which leads to {self.server(context)}" if kind == "context" else ""
                raise ValueError(
                    f"{self.path} has a {kind} {context} already{leads}: give another name with --context"
                )

    def adopt(self, other: "ClusterContexts", context: str) -> None:
        """Add a context of another kubeconfig with its cluster and user; it becomes the current one of a file
        without any. ValueError when there is one of its name that leads elsewhere."""
        if self._entry("context", context) is not None and self.server(context) != other.server(context):
            raise ValueError(
                f"{self.path} has a context {context} already, which leads to {self.server(context)} and not"
                f" to {other.server(context)}: name {other.path} with --kubeconfig"
            )
        found = other._entry("context", context) or {}
        for kind in ("cluster", "user"):
            entry = copy.deepcopy(other._entry(kind, found.get(kind)) or {})
            for member in FILES:
                if entry.get(member):
                    entry[member] = str(other.path.parent.absolute() / entry[member])
            self._put(kind, found.get(kind), entry)
        self._put("context", context, copy.deepcopy(found))
        if not self.current:
            self.switch(context)

    def forget(self, cluster: str, server: str) -> list[str]:
        """Remove the contexts of our commands that lead to a cluster of a server, with their clusters and
        users; a current one gives way to that of the server's own cluster. Their names."""
        names = [one["name"] for one in self._document.get("contexts") or () if one.get("name")]
        gone = [name for name in names if self._leads(name, cluster, server)]
        for name in gone:
            found, origin = self._entry("context", name) or {}, self.origin_of(name)
            if self.current == name and origin is not None:
                known = self._entry("context", origin.root) is not None
                self.switch(origin.root if known else "")
            self._remove("context", name)
            for kind in ("cluster", "user"):
                self._remove_unused(kind, found.get(kind))
        return gone

    def _leads(self, context: str, cluster: str, server: str) -> bool:
        """Whether a context leads to a cluster of a server: there, or below another address of it."""
        origin, url = self.origin_of(context), self.server(context)
        if origin is None or origin.cluster != cluster or not url.endswith(f"/clusters/{cluster}"):
            return False
        return url.startswith(f"{server.rstrip('/')}/") or self.server(origin.root) == server

    def switch(self, context: str) -> None:
        """Make a context the current one."""
        self._document["current-context"] = context

    def save(self) -> None:
        """Write the file as a whole, readable by its owner only."""
        write_file(self.path, self.text())

    def text(self) -> bytes:
        """The content of the file."""
        return yaml.safe_dump(self._document, sort_keys=False, allow_unicode=True).encode()

    def _entry(self, kind: str, name: Any) -> Object | None:
        for one in self._document.get(f"{kind}s") or ():
            if one.get("name") == name:
                return one.get(kind) or {}
        return None

    def _remove_unused(self, kind: str, name: Any) -> None:
        contexts = self._document.get("contexts") or ()
        if all((one.get("context") or {}).get(kind) != name for one in contexts):
            self._remove(kind, name)

    def _remove(self, kind: str, name: Any) -> None:
        entries = self._document.get(f"{kind}s") or []
        self._document[f"{kind}s"] = [one for one in entries if one.get("name") != name]

    def _put(self, kind: str, name: Any, content: Object) -> None:
        entries = self._document.get(f"{kind}s") or []
        made = {"name": name, kind: content}
        if any(one.get("name") == name for one in entries):
            entries = [made if one.get("name") == name else one for one in entries]
        else:
            entries = [*entries, made]
        self._document[f"{kind}s"] = entries


def server_entry(found: Kubeconfig) -> Object:
    """The entry of a cluster with the address and the trust of what was read from another one."""
    trust = found.trust
    entry: Object = {"server": found.server}
    if trust.ca:
        entry["certificate-authority-data"] = base64.b64encode(trust.ca).decode()
    if trust.insecure:
        entry["insecure-skip-tls-verify"] = True
    if trust.server_name:
        entry["tls-server-name"] = trust.server_name
    return entry


def _is_kubeconfig(document: Any) -> bool:
    """Whether a document has lists of objects where a kubeconfig has them."""
    if not isinstance(document, dict):
        return False
    lists = [document.get(kind) or [] for kind in ("clusters", "users", "contexts")]
    return all(isinstance(one, list) and all(isinstance(entry, dict) for entry in one) for one in lists)
