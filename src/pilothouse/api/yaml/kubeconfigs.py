"""Texts of kubeconfigs, with all credentials in them."""

import base64
from typing import Any

from pilothouse.process.patterns import pattern

_PLAIN = pattern(r"[a-z]+(?:-[a-z]+)+|pilothouse|https://[A-Za-z0-9./:_-]+")
"""Texts that YAML reads as they stand: no words such as `yes`, no numbers."""


def of_user(
    server: str,
    ca: bytes,
    *,
    cert: bytes = b"",
    key: bytes = b"",
    token: str = "",
    name: str = "pilothouse",
    user: str = "kubernetes-admin",
) -> bytes:
    """A kubeconfig (v1) with everything embedded, for a client certificate or a token;
    `user` is its name in the file."""

    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    credentials = f"\n    token: {_scalar(token)}" if token else " {}"
    if cert:
        credentials = f"\n    client-certificate-data: {text(cert)}\n    client-key-data: {text(key)}"
    cluster, person = _scalar(name), _scalar(user)
    return f"""apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    certificate-authority-data: {text(ca)}
    server: {_scalar(server)}
users:
- name: {person}
  user:{credentials}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {person}
current-context: {cluster}
preferences: {{}}
""".encode()


def _scalar(text: str) -> str:
    """A text in YAML. Every start writes a kubeconfig, and most need PyYAML, which takes long to import, for
    nothing else."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = (one if " " <= one <= "~" and one not in '"\\' else f"\\U{ord(one):08x}" for one in text)
    return f'"{"".join(quoted)}"'


def of_cluster(server: str, ca: bytes) -> bytes:
    """A kubeconfig (v1) with the address and the CA of a cluster and no user,
    as the config map cluster-info has it."""
    import yaml

    cluster = {"certificate-authority-data": base64.b64encode(ca).decode(), "server": server}
    document = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}
    empty: dict[str, Any] = {"contexts": None, "current-context": "", "preferences": {}, "users": None}
    return yaml.safe_dump(document | empty, sort_keys=True).encode()
