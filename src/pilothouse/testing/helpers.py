"""Members of the servers for tests: users with rights, objects from files, waiting."""

import os
import pathlib
import shutil
import ssl
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pilothouse.api.values.fields import Object

if TYPE_CHECKING:
    from pilothouse.testing.client import KubeClient
    from pilothouse.testing.conditions import Condition
    from pilothouse.testing.faults import AddedFault, FaultSet
    from pilothouse.testing.users import CertificateUser

Reference = str | tuple[str, str, str] | tuple[str, str, str, str]
"""The path of an object, or its API version, kind, name and namespace (`default` where it is left out)."""


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

    def _client(self) -> "KubeClient":
        from pilothouse.testing.client import KubeClient

        return KubeClient(self.url, self.context())
