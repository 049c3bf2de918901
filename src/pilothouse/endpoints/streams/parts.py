"""The parts of a server that its streams need: where they lead, and what is counted of them."""

from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.request.metrics import StreamMetrics
from pilothouse.endpoints.streams.kubelet import Kubelets
from pilothouse.endpoints.streams.local import LocalKubelet
from pilothouse.endpoints.streams.relay import Relay
from pilothouse.process.record import record


@record(eq=False)
class Streams:
    """The parts of one server that its streams work with."""

    verbs: Verbs
    relay: Relay
    kubelets: Kubelets
    metrics: StreamMetrics
    local: LocalKubelet | None = None
    """The kubelet of nodes that are simulated; it is asked before a connection is made."""
