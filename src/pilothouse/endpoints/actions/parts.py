"""The parts of a server that its actions need: whom reviews ask, and how neighbours are reached."""

from pilothouse.endpoints.actions.reviews import Judges
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.outbound.http import Outbound
from pilothouse.process.record import record
from pilothouse.server.request import Handler


@record
class Actions:
    """The parts of one server that its actions work with."""

    verbs: Verbs
    judges: Judges
    outbound: Outbound
    handler: Handler | None = None
    """The pipeline, through which an action makes requests in the name of its own; given once it is made."""
