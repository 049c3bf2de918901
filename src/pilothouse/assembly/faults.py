"""Has requests meet faults, where --faults asks for it."""

from collections.abc import Callable

from pilothouse.assembly.storage import Registry
from pilothouse.configuration.sections.diagnostics import DiagnosticsOptions
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.faults.faults import Faults
from pilothouse.faults.metrics import FaultMetrics
from pilothouse.metrics.instruments import MetricsRegistry


def faults_of(options: DiagnosticsOptions, registry: Registry, metrics: MetricsRegistry) -> Faults | None:
    """The faults of a server, of which there are none yet; None where the option is off."""
    if not options.faults_:
        return None
    return Faults(metrics.add(FaultMetrics()), lambda: registry.cacher.revision)


def unplanned(pipeline: Pipeline) -> Callable[[bool], None]:
    """A listener by which no request has a plan while there are faults."""
    planner = pipeline.planner

    def changed(faulty: bool) -> None:
        pipeline.planner = None if faulty else planner

    return changed
