"""Users with rights of their own: a client certificate of the server's CA, a role and a binding."""

import datetime
import difflib
import pathlib
import re
import ssl
from collections.abc import Iterable, Sequence

from pilothouse import pki
from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import kubeconfigs
from pilothouse.files import write_file
from pilothouse.process.frozen import frozen
from pilothouse.testing.client import KubeClient, context

GROUP = "rbac.authorization.k8s.io"


@frozen
class CertificateUser:
    """A user of the server: who it is, and the paths of its credentials."""

    name: str
    groups: tuple[str, ...]
    kubeconfig: pathlib.Path
    ca_file: pathlib.Path
    client_cert: pathlib.Path
    client_key: pathlib.Path

    def context(self) -> ssl.SSLContext:
        """TLS settings of the user."""
        return context(self.ca_file, self.client_cert, self.client_key)


def issue(
    directory: pathlib.Path,
    url: str,
    name: str,
    groups: Sequence[str],
    authority: pathlib.Path,
    unit: str = "",
) -> CertificateUser:
    """A user with a certificate of the CA in the directory `authority`; its files are in `directory`, below
    `users`. `unit` is the certificate's organizational unit."""
    ca_file = authority / "ca.crt"
    ca = pki.CertificateAuthority.load(ca_file, authority / "ca.key", datetime.timedelta(0))
    assert ca is not None, f"{authority} has no CA"
    cert, key = ca.issue(name, groups, server=False, unit=unit)
    folder = directory / "users" / str(len(list(directory.glob("users/*"))))
    user = CertificateUser(
        name, tuple(groups), folder / "kubeconfig", ca_file, folder / "client.crt", folder / "client.key"
    )
    made = kubeconfigs.of_user(url, ca_file.read_bytes(), cert=cert, key=key, user=name)
    for path, data in ((user.client_cert, cert), (user.client_key, key), (user.kubeconfig, made)):
        write_file(path, data, sync=False)
    return user


def allow(client: KubeClient, name: str, rules: Iterable[Object], role: str, namespace: str) -> None:
    """Give a user a new role with `rules`, and the cluster role `role`; in a namespace, or everywhere.

    ValueError when no cluster role has that name. Nothing is written then.
    """
    if role:
        _check_role(client, role)
    scope, kind = (f"namespaces/{namespace}/", "Role") if namespace else ("", "ClusterRole")
    path = f"/apis/{GROUP}/v1/{scope}{kind.lower()}"
    metadata = {"generateName": re.sub("[/%]", "-", name) + "-"}
    roles = [("ClusterRole", role)] if role else []
    if rules := list(rules):
        made = client.call("POST", f"{path}s", {"metadata": metadata, "rules": rules})
        roles.append((kind, made["metadata"]["name"]))
    for one in roles:
        reference = {"apiGroup": GROUP, "kind": one[0], "name": one[1]}
        subjects = [{"apiGroup": GROUP, "kind": "User", "name": name}]
        client.call(
            "POST", f"{path}bindings", {"metadata": metadata, "roleRef": reference, "subjects": subjects}
        )


def _check_role(client: KubeClient, role: str) -> None:
    """Check that a cluster role exists; ValueError suggests similar names."""
    listing = client.call("GET", f"/apis/{GROUP}/v1/clusterroles")
    names = [item["metadata"]["name"] for item in listing["items"]]
    if role not in names:
        similar = difflib.get_close_matches(role, names)
        hint = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""
        raise ValueError(f"no cluster role is named {role!r}{hint}")
