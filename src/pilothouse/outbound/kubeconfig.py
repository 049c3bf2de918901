"""Reads the kubeconfig files of webhooks: the URL, the TLS trust, and this server's credentials."""

import base64
import binascii
from pathlib import Path
from typing import NamedTuple

from pilothouse.api.fields import Object
from pilothouse.api.yaml import reader as yaml
from pilothouse.outbound.http import Trust


class Kubeconfig(NamedTuple):
    """What the current context of a kubeconfig says."""

    server: str
    """URL of the cluster."""

    headers: list[tuple[str, str]]
    """The credentials of the user that are sent as a header: a bearer token or a password."""

    trust: Trust
    """The CA bundle of the cluster, and the user's client certificate."""


def read_kubeconfig(path: Path) -> Kubeconfig:
    """Read the current context; ValueError when the file names none, OSError when it cannot be read.

    Of a user it knows client certificates, tokens and passwords. Inline data wins over a file, as in client-go;
    paths are relative to the kubeconfig.
    """
    try:
        config = yaml.parse(path.read_bytes()).value
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"] if context.get("user") else {}
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
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"invalid configuration: {path}: {error}") from None


def _named(items: list[Object], name: str) -> Object:
    for item in items:
        if item["name"] == name:
            return item
    raise KeyError(name)


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
