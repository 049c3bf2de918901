"""Members of the servers for tests: users with rights, objects from files, waiting."""

import datetime
import os
import pathlib
import shutil
import ssl
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from pilothouse.api.values.fields import Object

if TYPE_CHECKING:
    from pilothouse.pki import CertificateAuthority
    from pilothouse.testing.client import KubeClient
    from pilothouse.testing.clock import KubeClock
    from pilothouse.testing.conditions import Condition
    from pilothouse.testing.faults import AddedFault, FaultSet
    from pilothouse.testing.users import CertificateUser

Reference = str | tuple[str, str, str] | tuple[str, str, str, str]
"""The path of an object, or its API version, kind, name and namespace (`default` where it is left out)."""


PATIENCE = 600.0
"""Seconds that a server may take to let time pass."""


class Checkpoint(NamedTuple):
    """A state that a server keeps: its name, and the number of its objects."""

    name: str
    objects: int


class Signing:
    """Base of what has a CA in its directory."""

    directory: pathlib.Path

    @cached_property
    def signer(self) -> "CertificateAuthority":
        """The CA; FileNotFoundError when the server has none."""
        from pilothouse import pki

        files = self.directory / "ca.crt", self.directory / "ca.key"
        found = pki.CertificateAuthority.load(*files, datetime.timedelta(0))
        if found is None:
            raise FileNotFoundError(f"{self.directory} has no CA that can be used")
        return found


class Helpers:
    """Base of the servers. `directory` holds the files of users, `unit` is the organizational unit of their
    certificates."""

    directory: pathlib.Path
    unit = ""

    @property
    def authority(self) -> pathlib.Path:
        """The directory that holds the CA."""
        return self.directory

    @property
    def url(self) -> str:
        raise NotImplementedError

    def context(self) -> ssl.SSLContext:
        """TLS settings of an administrator."""
        raise NotImplementedError

    def user(
        self,
        name: str,
        groups: Sequence[str] = (),
        *,
        rules: Iterable[Object] = (),
        role: str = "",
        namespace: str = "",
    ) -> "CertificateUser":
        """A user with a client certificate, who has no right but these.

        rules: the rules of a new role. role: a cluster role that exists, such as `view`. namespace: where
        both count; everywhere when it is empty.
        """
        from pilothouse.testing import users

        found = users.issue(self.directory, self.url, name, groups, self.authority, self.unit)
        with self._client() as client:
            users.allow(client, name, rules, role, namespace)
        return found

    def forget_users(self) -> None:
        """Remove the files of users. A reset removes their roles and bindings."""
        shutil.rmtree(self.directory / "users", ignore_errors=True)

    def apply(
        self, *paths: str | os.PathLike[str], namespace: str = "default", timeout: float = 10.0
    ) -> list[Object]:
        """Apply the objects of YAML and JSON files, and of those in folders; ApplyError.

        Definitions are applied first and waited for. `namespace` is that of objects which name none.
        """
        from pilothouse.testing import manifests

        with self._client() as client:
            return manifests.apply(client, paths, namespace, timeout)

    def wait(
        self, reference: Reference, condition: "Condition" = "Ready", *, timeout: float = 10.0
    ) -> Object:
        """The object once it meets a condition, which is awaited by a watch.

        The condition is `Ready`, `Ready=False`, `delete`, or a function of the object.
        TimeoutError shows the object's conditions and events.
        """
        from pilothouse.testing import conditions, resources

        with self._client() as client:
            if not isinstance(reference, str):
                api_version, kind, name, *where = reference
                reference = resources.path_of(client, api_version, kind, name, *where or ("default",))
            return conditions.wait(client, reference, condition, timeout)

    @property
    def faults(self) -> "FaultSet":
        """The faults of the server; a reset removes them."""
        from pilothouse.testing.faults import FaultSet

        return FaultSet(self._client)

    def fault(self, name: str = "", **rule: Any) -> "AddedFault":
        """A fault for the time of a `with` statement. `rule` has the members of a rule in snake case, such as
        `verb="update", resource="deployments", code=409, times=2`."""
        return self.faults.made(rule, name)

    @cached_property
    def clock(self) -> "KubeClock":
        """The clock of the server, which runs with --test-api or --simulate."""
        from pilothouse.testing.clock import KubeClock

        return KubeClock(lambda: self._client(PATIENCE))

    def checkpoint(self) -> Checkpoint:
        """Keep the state of all objects, for `restore`."""
        from pilothouse.endpoints.documents.checkpoint_page import PATH

        with self._client() as client:
            kept = client.call("POST", PATH)
        return Checkpoint(kept["name"], kept["objects"])

    def restore(self, checkpoint: Checkpoint) -> int:
        """Put a state back; the number of objects that were written or deleted for it.

        UIDs are those of the state. resourceVersions go forward, and watches tell of each change.
        """
        from pilothouse.endpoints.documents.checkpoint_page import PATH

        with self._client() as client:
            return int(client.call("POST", f"{PATH}/{checkpoint.name}")["written"])

    def save_state(self, path: str | os.PathLike[str]) -> None:
        """Write the state, with the keys of the server, to a file from which others start
        (--kube-apiserver-state, --from-state)."""
        from pilothouse.endpoints.documents.checkpoint_page import STATE_PATH
        from pilothouse.files import write_file

        with self._client() as client:
            write_file(pathlib.Path(path), client.data(STATE_PATH))

    def _client(self, seconds: float = 30.0) -> "KubeClient":
        from pilothouse.testing.client import KubeClient

        return KubeClient(self.url, self.context(), seconds)
