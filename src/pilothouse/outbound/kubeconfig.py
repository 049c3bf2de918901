"""Reads the kubeconfig files of webhooks: URLs, TLS trust, and this server's credentials."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import text as yaml
from pilothouse.outbound.http import Trust
from pilothouse.process.frozen import frozen


class Kubeconfig(NamedTuple):
    """The settings of the current context of a kubeconfig."""

    server: str
    """URL of the cluster."""

    headers: list[tuple[str, str]]
    """The credentials of the user that are sent as a header: a bearer token or a password."""

    trust: Trust
    """The CA bundle of the cluster, and the user's client certificate."""


def read_kubeconfig(path: Path, context: str = "") -> Kubeconfig:
    """Read the current context, or the one that is named; ValueError when the file has none, OSError when it
    cannot be read.

    Of a user it knows client certificates, tokens and passwords. Inline data wins over a file, as in
    client-go; paths are relative to the kubeconfig.
    """
    try:
        config = _object(yaml.parse(path.read_bytes()).value)
        chosen = _chosen(config, "context", context or config.get("current-context"))
        cluster = _chosen(config, "cluster", chosen.get("cluster"))
        user = _chosen(config, "user", chosen["user"]) if chosen.get("user") else {}
        if not cluster.get("server"):
            raise ValueError("the cluster has no server")
        trust = Trust(
            ca=_data(cluster, "certificate-authority") or _read(path, cluster, "certificate-authority"),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            server_name=str(cluster.get("tls-server-name") or ""),
            cert_file=_path(path, user, "client-certificate"),
            key_file=_path(path, user, "client-key"),
            cert=_data(user, "client-certificate"),
            key=_data(user, "client-key"),
        )
        return Kubeconfig(str(cluster["server"]), _credentials(path, user), trust)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"invalid configuration: {path}: {_why(error)}") from None


def namespace_of(path: Path) -> str:
    """The namespace of the current context, "" for none; ValueError and OSError as read_kubeconfig()."""
    try:
        config = _object(yaml.parse(path.read_bytes()).value)
        return str(_chosen(config, "context", config.get("current-context")).get("namespace") or "")
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"invalid configuration: {path}: {_why(error)}") from None


def plugin_of(path: Path, context: str = "") -> str:
    """How the user of the current context, or of another one, gets credentials that no file holds: `exec` or
    `auth-provider`, "" when a file does; ValueError and OSError as read_kubeconfig()."""
    try:
        config = _object(yaml.parse(path.read_bytes()).value)
        chosen = _chosen(config, "context", context or config.get("current-context"))
        user = _chosen(config, "user", chosen["user"]) if chosen.get("user") else {}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"invalid configuration: {path}: {_why(error)}") from None
    return next((kind for kind in ("exec", "auth-provider") if user.get(kind)), "")


def files_of(path: str) -> list[str]:
    """A kubeconfig and the files that its current context names,
    or the kubeconfig alone when it names none."""
    found, file = [path], Path(path)
    try:
        config = yaml.parse(file.read_bytes()).value
        context = _chosen(config, "context", config["current-context"])
        cluster = _chosen(config, "cluster", context["cluster"])
        found.append(_path(file, cluster, "certificate-authority"))
        if context.get("user"):
            user = _chosen(config, "user", context["user"])
            found += [_path(file, user, "client-certificate"), _path(file, user, "client-key")]
            found.append(str(file.parent / user["tokenFile"]) if user.get("tokenFile") else "")
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return [one for one in found if one]


class Credentials(NamedTuple):
    """How this server shows a webhook who it is: by headers, by a client certificate, or not at all."""

    headers: Sequence[tuple[str, str]] = ()
    trust: Trust = Trust()
    """The CAs and files of TLS, of which the client certificate counts."""


@frozen
class Users:
    """The users of a kubeconfig by name, where a name is the host that they are for.

    default: the user of the current context, "" for none.
    """

    path: Path = Path()
    users: Mapping[str, Object] = field(default_factory=dict)
    default: str = ""

    def for_host(self, target: str) -> Credentials:
        """The credentials for `host:port` (apiserver util/webhook/authentication.go).

        A user counts that has this name, else one that has it behind a star in place of its first labels,
        else the same without the port if that is 443, else one called `*`, else that of the current context.
        Files are read each time, so new tokens and certificates count at once. OSError, ValueError.
        """
        host, _, port = target.rpartition(":")
        for name in (target, host) if port == "443" else (target,):
            steps = name.split(".")
            stars = (f"*.{'.'.join(steps[i:])}" for i in range(1, len(steps)))
            for known in (name, *stars):
                if known in self.users:
                    return self._of(known)
        return self._of("*" if "*" in self.users else self.default)

    def _of(self, name: str) -> Credentials:
        user = self.users.get(name)
        if user is None:
            return Credentials()
        try:
            return Credentials(
                [*_credentials(self.path, user), *_impersonation(user)],
                Trust(
                    cert_file=_path(self.path, user, "client-certificate"),
                    key_file=_path(self.path, user, "client-key"),
                    cert=_data(user, "client-certificate"),
                    key=_data(user, "client-key"),
                ),
            )
        except (TypeError, AttributeError, binascii.Error) as error:
            raise ValueError(f"invalid configuration: {self.path}: user {name}: {error}") from None


def read_users(path: Path) -> Users:
    """Read the users of a kubeconfig; ValueError when it is none, OSError when it cannot be read."""
    try:
        config = yaml.parse(path.read_bytes()).value or {}
        users = {str(one["name"]): one.get("user") or {} for one in config.get("users") or ()}
        contexts = {one["name"]: one["context"] for one in config.get("contexts") or ()}
        default = (contexts.get(config.get("current-context")) or {}).get("user") or ""
        for name, user in users.items():
            for member in ("exec", "auth-provider"):
                if user.get(member):
                    raise ValueError(f"user {name}: {member} is not supported")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"invalid configuration: {path}: {_why(error)}") from None
    return Users(path, users, str(default))


def _impersonation(user: Object) -> list[tuple[str, str]]:
    """The headers by which the user acts as another one."""
    if not user.get("as"):
        return []
    headers = [("Impersonate-User", str(user["as"]))]
    if user.get("as-uid"):
        headers.append(("Impersonate-Uid", str(user["as-uid"])))
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or ()]
    for key, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{quote(key, safe='')}", str(value)) for value in values]
    return headers


def _why(error: Exception) -> str:
    """The text of an error; one of YAML without what it quotes, for that may be a password."""
    return (
        re.sub(r"'[^']*'|\"[^\"]*\"", "...", str(error)) if isinstance(error, yaml.YAMLError) else str(error)
    )


def _object(value: Any, where: str = "the file") -> Object:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object")
    return value


def _chosen(config: Object, kind: str, name: Any) -> Object:
    """The context, cluster or user of a name."""
    found = config.get(f"{kind}s") or []
    if not isinstance(found, list):
        raise ValueError(f"{kind}s must be a list")
    if not name:
        raise ValueError(f"no {kind} is chosen" if kind != "context" else "there is no current-context")
    for item in found:
        if _object(item, f"each of {kind}s").get("name") == name:
            return _object(item.get(kind) or {}, f"the {kind} {name}")
    raise ValueError(f"there is no {kind} {name}")


def _credentials(path: Path, user: Object) -> list[tuple[str, str]]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (path.parent / user["tokenFile"]).read_text().strip()
    if token:
        return [("Authorization", f"Bearer {token}")]
    if user.get("username"):
        pair = base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
        return [("Authorization", f"Basic {pair}")]
    return []


def _data(holder: Object, name: str) -> bytes:
    """The PEM text of a member that is given inline, b"" without one."""
    return base64.b64decode(holder.get(f"{name}-data") or "")


def _path(path: Path, holder: Object, name: str) -> str:
    """The file that a member names, "" when it names none or its data is inline."""
    if holder.get(f"{name}-data") or not holder.get(name):
        return ""
    return str(path.parent / holder[name])


def _read(path: Path, holder: Object, name: str) -> bytes:
    found = _path(path, holder, name)
    return Path(found).read_bytes() if found else b""
