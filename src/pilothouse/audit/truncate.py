"""Cuts events that are too large for a back end (apiserver plugin/pkg/audit/truncate)."""

from collections.abc import Callable

from pilothouse.audit._audit import Event
from pilothouse.audit.event import without_objects
from pilothouse.audit.policy import REQUEST
from pilothouse.process.frozen import frozen

PLUGIN = "truncate"


@frozen
class Truncation:
    """The limits of one back end in bytes.
    An event above `event` loses its objects; a batch above `batch` is split."""

    event: int
    batch: int
    lost: Callable[[str, int, str], None]
    """Told of an event that is too large without its objects as well."""

    def fit(self, event: Event) -> Event | None:
        """The event as it goes to the back end, None when it cannot be made small enough."""
        if event.size > self.event or len(event.line) > self.event:
            if event.level >= REQUEST:
                event = without_objects(event)
            if len(event.line) > self.event:
                self.lost(PLUGIN, 1, "event is too large even after truncating")
                return None
        return event
