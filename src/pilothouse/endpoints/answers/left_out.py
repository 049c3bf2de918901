"""Stored objects that cannot be shown in some form: each fails alone, lists and watches leave it out.

What is written through this server can be read. An earlier version, another server or somebody with a tool
for the store may have stored something else. GET of such an object is an InternalError that names it;
`pilothouse doctor --store` finds all of them. Upstream's lists fail as a whole.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pilothouse import errors
from pilothouse.api import _json
from pilothouse.logs import Logger
from pilothouse.metrics.instruments import Counter, Group
from pilothouse.registry.resource import Resource
from pilothouse.storage._entry import Entry

log = Logger(__name__)

T = TypeVar("T")


class LeftOutMetrics(Group):
    """The metrics of objects that were not shown."""

    def __init__(self) -> None:
        self.objects = Counter(
            "pilothouse_objects_left_out_total",
            "[ALPHA] Stored objects that lists and watches left out, and reads of them that failed, as they"
            " cannot be shown.",
            ("group", "resource"),
        )


class LeftOut:
    """Tells of the objects that one server does not show: in its log, its metrics, and by warnings."""

    def __init__(self, metrics: LeftOutMetrics | None = None) -> None:
        self._metrics = metrics or LeftOutMetrics()

    def record(self, resource: Resource, value: bytes, error: Exception) -> str:
        """Count and log an object that cannot be shown; the sentence that says so. `error` is raised if it
        tells something else than that: a StatusError that is no InternalError."""
        if isinstance(error, errors.StatusError) and not isinstance(error, errors.InternalError):
            raise error
        namespace, name = (_json.text(value, ("metadata", member)) for member in ("namespace", "name"))
        named = f"{namespace}/{name}" if namespace else name
        self._metrics.objects.inc(resource.group, resource.plural)
        log.warning(
            "A stored object cannot be shown", resource=resource.group_resource, name=named, err=error
        )
        return (
            f'{resource.group_resource} "{named}" cannot be shown in this form: {type(error).__name__}:'
            f" {error}"
        )

    def refusal(self, resource: Resource, value: bytes, error: Exception) -> errors.InternalError:
        """The answer to a GET of the object."""
        return errors.InternalError(f"Internal error occurred: {self.record(resource, value, error)}")

    def guarded(self, resource: Resource, make: Callable[[bytes], T]) -> Callable[[bytes], T | None]:
        """`make`, which gives None for a stored value that it cannot show."""

        def attempt(value: bytes) -> T | None:
            try:
                return make(value)
            except Exception as error:
                self.record(resource, value, error)
                return None

        return attempt

    def without(
        self,
        resource: Resource,
        entries: Sequence[Entry],
        show: Callable[[bytes], object],
        warn: Callable[[str], None],
    ) -> list[Entry]:
        """The entries that can be shown; `warn` is told of each of the others."""
        kept: list[Entry] = []
        for entry in entries:
            try:
                show(entry.value)
            except Exception as error:
                warn(f"left out of the list: {self.record(resource, entry.value, error)}")
            else:
                kept.append(entry)
        return kept
