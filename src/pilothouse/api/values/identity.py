"""Users, request info and authorization attributes:
shared by authentication, authorization, admission and audit."""

from dataclasses import field

from pilothouse.process.frozen import frozen
from pilothouse.process.record import record


@frozen
class User:
    """An authenticated caller (authentication.k8s.io UserInfo)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))

NODE_PREFIX = "system:node:"
"""Prefix of kubelets' user names; the node's name follows."""
NODES = "system:nodes"
"""The group of all kubelets."""


def node_name(user: User) -> str | None:
    """The node that a user is: "" if the name is missing, None if the user is no node."""
    if user.name.startswith(NODE_PREFIX) and NODES in user.groups:
        return user.name[len(NODE_PREFIX) :]
    return None


@record
class RequestInfo:
    """Describes a request by its method and path (apiserver request.RequestInfo).

    `verb` is get, list, watch, create, update, patch, delete, deletecollection or, for a path that names no
    resource, the lower-case HTTP method. `subresource` is "" for the object itself. `parts` are the path
    segments from the resource on (after the namespace), so the path behind a proxy subresource is parts[3:].
    """

    path: str
    verb: str
    is_resource: bool = False
    prefix: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()

    @property
    def unnamed_namespace(self) -> bool:
        """Whether the path leads through a namespace whose name is empty, as an unset variable makes it."""
        return not self.namespace and "/namespaces//" in self.path


@record
class AuthorizationAttributes:
    """The attributes that an authorizer judges: a user, a verb and either a resource or a path."""

    user: User
    verb: str
    path: str = ""
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
