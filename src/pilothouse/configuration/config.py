"""The typed configuration of a server: its sections, and the table of all flags."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from pilothouse.configuration.flags import Flag
from pilothouse.configuration.sections.admission import AdmissionOptions
from pilothouse.configuration.sections.api import APIOptions
from pilothouse.configuration.sections.audit import AuditOptions
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.authorization import AuthorizationOptions
from pilothouse.configuration.sections.clusters import ClusterOptions
from pilothouse.configuration.sections.controllers import ControllerOptions
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.configuration.sections.diagnostics import DiagnosticsOptions
from pilothouse.configuration.sections.flow_control import FlowControlOptions
from pilothouse.configuration.sections.lifecycle import LifecycleOptions
from pilothouse.configuration.sections.logs import LogOptions
from pilothouse.configuration.sections.metrics import MetricsOptions
from pilothouse.configuration.sections.objects import ObjectOptions
from pilothouse.configuration.sections.outbound import OutboundOptions
from pilothouse.configuration.sections.process import ProcessOptions
from pilothouse.configuration.sections.requests import RequestOptions
from pilothouse.configuration.sections.section import GROUPS, Section
from pilothouse.configuration.sections.serving import ServingOptions
from pilothouse.configuration.sections.simulation import SimulationOptions
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.process.frozen import frozen

S = TypeVar("S", bound=Section)


@frozen(eq=False)
class Config(Section):
    """The settings of a server, in sections. Each flag is one field of one section, under its own name."""

    serving: ServingOptions = field(default_factory=ServingOptions)
    requests: RequestOptions = field(default_factory=RequestOptions)
    flow_control: FlowControlOptions = field(default_factory=FlowControlOptions)
    lifecycle: LifecycleOptions = field(default_factory=LifecycleOptions)
    process: ProcessOptions = field(default_factory=ProcessOptions)
    data: DataOptions = field(default_factory=DataOptions)
    store: StoreOptions = field(default_factory=StoreOptions)
    audit: AuditOptions = field(default_factory=AuditOptions)
    authentication: AuthenticationOptions = field(default_factory=AuthenticationOptions)
    authorization: AuthorizationOptions = field(default_factory=AuthorizationOptions)
    admission: AdmissionOptions = field(default_factory=AdmissionOptions)
    api: APIOptions = field(default_factory=APIOptions)
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    controllers: ControllerOptions = field(default_factory=ControllerOptions)
    simulation: SimulationOptions = field(default_factory=SimulationOptions)
    outbound: OutboundOptions = field(default_factory=OutboundOptions)
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
    logs: LogOptions = field(default_factory=LogOptions)
    diagnostics: DiagnosticsOptions = field(default_factory=DiagnosticsOptions)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)

    def value(self, flag: str) -> Any:
        """The value of the flag of this name."""
        return attrgetter(settings()[flag].path)(self)

    def runs(self, controller: str) -> bool:
        """Whether a controller runs. Over a store that others write to none does unless asked for:
        a cluster of several servers has its own controller manager."""
        return self.controllers.runs(controller, named_only=self.store.others_write)

    def faults(self) -> Iterator[str]:
        """Yield the faults: settings of one section that those of another one exclude."""
        workers, store, off = self.process.workers, self.store, self.api.flow_control_off()
        if workers > 1 and not store.others_write:
            yield f"--workers={workers} needs --etcd-servers: the {store.backend} store is for one process"
        elif workers > 1 and store.keeps_history:
            yield f"--workers={workers} conflicts with --history: its file is for one process"
        if self.data.from_state and store.others_write:
            yield "--from-state conflicts with --etcd-servers: it begins an embedded store"
        if self.clusters.clusters_from_state and not self.data.from_state:
            yield "--clusters-from-state needs --from-state"
        if workers > 1 and self.simulation.test_api:
            yield f"--workers={workers} conflicts with --test-api: each would have a clock of its own"
        if workers > 1 and self.simulation.on:
            yield f"--workers={workers} conflicts with --simulate: one process simulates"
        if workers > 1 and self.diagnostics.faults_:
            yield f"--workers={workers} conflicts with --faults: each process would have its own"
        if self.clusters.clusters and workers > 1:
            yield f"--workers={workers} conflicts with --clusters: one process has a cluster in memory"
        if self.clusters.clusters and store.others_write and self.simulation.test_api:
            yield "--test-api conflicts with --etcd-servers where there are --clusters: each has a clock"
        if off and self.flow_control.enable_priority_and_fairness:
            yield f"--runtime-config={off}=false conflicts with --enable-priority-and-fairness=true"

    def ignored(self) -> list[str]:
        """The flags on the command line that have no effect here, for one line in the log."""
        return [flag.name for flag in all_flags() if not flag.effective and flag.name in self.given]


class Setting(NamedTuple):
    """A flag, and the path of its field from the configuration."""

    flag: Flag
    path: str


@cache
def settings() -> Mapping[str, Setting]:
    """The settings by the names of their flags, in the order in which --help lists these."""
    found = sorted(_settings(Config), key=lambda one: (GROUPS.index(one.flag.group), one.flag.name))
    return {one.flag.name: one for one in found}


def _settings(section: type[Section], path: str = "") -> Iterator[Setting]:
    for one in fields(section):
        default: Any = one.default_factory if one.default is MISSING else one.default
        if one.metadata:
            flag = Flag(_flag_of(one.name), default={} if default is dict else default, **one.metadata)
            yield Setting(flag, path + one.name)
        elif one.default is MISSING:
            yield from _settings(default, f"{path}{one.name}.")


def _flag_of(field_name: str) -> str:
    return field_name.rstrip("_").replace("_", "-")


def all_flags() -> tuple[Flag, ...]:
    """All flags in the order of their groups."""
    flags = (one.flag for one in settings().values())
    return *flags, Flag("help", "bool", False, "global", "Print this help.", short="h")


def configuration(section: type[S], values: Mapping[str, Any], given: frozenset[str]) -> S:
    """A section, or the whole configuration, with these values of flags by name; `given` were passed."""
    arguments: dict[str, Any] = {}
    passed: set[str] = set()
    for one in fields(section):
        if one.metadata:
            name = _flag_of(one.name)
            passed |= {name} & given
            if name in values:
                arguments[one.name] = values[name]
        elif one.default is MISSING:
            kind: Any = one.default_factory
            arguments[one.name] = inner = configuration(kind, values, given)
            passed |= inner.given
    return section(**arguments, given=frozenset(passed))
