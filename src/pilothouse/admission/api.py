"""The module that an admission plugin in a package of its own imports (docs/plugins.md).

A package registers a subclass of `Plugin` by an entry point of the group `pilothouse.admission`; the entry
point's name is the plugin's. All that stands in this module stays as it is within a major version.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, Protocol

from pilothouse.errors import Conflict, Forbidden, Invalid, StatusError, TooManyRequests
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record

__all__ = [
    "AdmissionRequest",
    "Conflict",
    "Forbidden",
    "Invalid",
    "NotDeclared",
    "Object",
    "Plugin",
    "Readers",
    "Refused",
    "StatusError",
    "TooManyRequests",
    "UserInfo",
]

Object = dict[str, Any]
"""An API object as JSON has it."""

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class Refused(Exception):
    """A plugin does not allow the request: 403 `pods "x" is forbidden: message`.

    `causes` become the causes of the Status: mappings with `reason`, `message` and `field`. A plugin that
    wants another code raises a StatusError instead.
    """

    def __init__(self, message: str, causes: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.causes = tuple(dict(cause) for cause in causes)


class NotDeclared(Exception):
    """A plugin has read a resource that its `reads` does not name."""


@frozen
class UserInfo:
    """The user who makes the request (authentication.k8s.io UserInfo)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Readers(Protocol):
    """Objects of the cluster as this server has them in memory. What is returned belongs to the plugin.

    A resource is named like `pods` or `deployments.apps`. Objects are in the version in which they are
    stored. Raises NotDeclared for a resource that the plugin's `reads` does not name.
    """

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, None when there is none; `namespace` is "" for resources that are in none."""

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        """All objects of a resource, or those of one namespace."""


@record
class AdmissionRequest:
    """The request that a plugin judges; its members are those of the request of an AdmissionReview.

    `object` is None on a DELETE, `old_object` on a CREATE; on a CONNECT `object` holds the options. Both are
    copies, in the version that the request names. `resource` is the plural, and `subresource` is "" for the
    object itself. `name` is "" where the server will generate one.
    `options` is the CreateOptions, UpdateOptions or DeleteOptions.
    """

    operation: Operation
    group: str
    version: str
    resource: str
    subresource: str
    kind: str
    namespace: str
    name: str
    object: Object | None
    old_object: Object | None
    user: UserInfo
    options: Object
    dry_run: bool
    readers: Readers
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def group_resource(self) -> str:
        """`pods` or `deployments.apps`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def warn(self, text: str) -> None:
        """Send the client a warning."""
        self.warnings.append(text)

    def audit(self, key: str, value: str) -> None:
        """Add an annotation to the audit event; its key becomes `<name of the plugin>/<key>`."""
        self.annotations[key] = value


class Plugin:
    """An admission plugin. One object of the class serves all requests of a server.

    `mutate` and `validate` may be `def` or `async def`; who needs only one of them leaves the other away. No
    code of a plugin runs on the server's own event loop: a `def` runs on one of two threads of the plugin, so
    it may be called twice at once, and an `async def` on an event loop that the plugin has for itself.

    operations, resources: which requests the plugin is asked about. A resource is named like `pods`,
    `pods/status`, `deployments.apps`, `deployments.apps/scale`,
    `*` (every resource) or `*/*` (subresources as well).
    reads: which resources it reads by `request.readers`.
    seconds: how long one call may take, together with the wait for a thread.
    failure_policy: what happens when a call takes longer, or raises something that is no refusal: Fail
    answers 500, Ignore goes on as if the plugin had not been asked.
    reinvocation_policy: whether `mutate` is called again when a later plugin has changed the object.
    configuration_schema: an OpenAPI v3 schema, structural as that of a CustomResourceDefinition. The plugin's
    section of the AdmissionConfiguration is checked against it and gets its defaults.
    Without it there must be no section.
    """

    operations: ClassVar[Sequence[Operation]] = ("CREATE", "UPDATE")
    resources: ClassVar[Sequence[str]] = ()
    reads: ClassVar[Sequence[str]] = ()
    seconds: ClassVar[float] = 1.0
    failure_policy: ClassVar[Literal["Fail", "Ignore"]] = "Fail"
    reinvocation_policy: ClassVar[Literal["Never", "IfNeeded"]] = "Never"
    configuration_schema: ClassVar[Mapping[str, Any] | None] = None

    def __init__(self, configuration: Object) -> None:
        """Called at the start with the plugin's section, {} when it has none; a ValueError ends the start.

        When the section changes, another plugin is made with it, on a thread; a ValueError then leaves this
        one in force, else this one is closed once its calls have ended.
        """
        self.configuration = configuration

    def mutate(self, request: AdmissionRequest) -> Object | Awaitable[Object | None] | None:
        """Change `request.object` in place or return the object that replaces it;
        raise to refuse the request."""
        return None

    def validate(self, request: AdmissionRequest) -> Awaitable[None] | None:
        """Return to allow the request, raise to refuse it. Changes of the object have no effect."""
        return None

    def close(self) -> Awaitable[None] | None:
        """Called when the server stops, where the plugin's other code runs."""
        return None
