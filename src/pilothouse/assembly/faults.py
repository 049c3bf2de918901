"""Has requests meet faults, where --faults asks for it; other servers do not even import them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pilothouse.assembly.storage import Registry
from pilothouse.configuration.sections.diagnostics import DiagnosticsOptions
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.metrics.instruments import MetricsRegistry

if TYPE_CHECKING:
    from pilothouse.faults.faults import Faults


def faults_of(options: DiagnosticsOptions, registry: Registry, metrics: MetricsRegistry) -> "Faults | None":
    """The faults of a server, of which there are none yet; None where the option is off."""
    if not options.faults_:
        return None
    from pilothouse.faults.faults import Faults
    from pilothouse.faults.metrics import FaultMetrics

    return Faults(metrics.add(FaultMetrics()), lambda: registry.cacher.revision)


def faulty(dispatcher: Dispatcher, faults: "Faults | None") -> Dispatcher:
    """The dispatcher of a server's pipeline."""
    if faults is None:
        return dispatcher
    from pilothouse.faults.dispatcher import FaultyDispatcher

    return FaultyDispatcher(dispatcher, faults)


def serve(faults: "Faults", nonresource: NonResource) -> None:
    """Serve the paths by which faults are added and removed."""
    from pilothouse.faults.api import FaultsAPI

    FaultsAPI(faults).install(nonresource)


def unplanned(pipeline: Pipeline) -> Callable[[bool], None]:
    """A listener by which no request has a plan while there are faults."""
    planner = pipeline.planner

    def changed(there_are: bool) -> None:
        pipeline.planner = None if there_are else planner

    return changed
