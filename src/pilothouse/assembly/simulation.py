"""Makes what simulates: nodes, their leases, a scheduler, kubelets and the controllers of workloads.

It is imported when --simulate is given.
"""

from collections.abc import Callable, Sequence

from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values.clock import ServerClock
from pilothouse.configuration.config import Config
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.gotext import quote
from pilothouse.lifecycle import Background, Opened
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.kubelet.kubelet import SimulatedKubelet
from pilothouse.simulate.kubelet.streams import SimulatedStreams
from pilothouse.simulate.leases import NAMESPACE, NodeLeases
from pilothouse.simulate.nodes import Machines, SimulatedNodes, is_welcome
from pilothouse.simulate.scheduler.scheduler import Scheduler
from pilothouse.simulate.workloads.maker import controllers

MakeClient = Callable[[str], Client]

LEASES = "leases.coordination.k8s.io"
NODES, KUBELET, SCHEDULER = "nodes", "kubelet", "scheduler"


class SimulatedCluster:
    """The parts that simulate on one server; `clock` is their time."""

    def __init__(self, config: Config, make_client: MakeClient, clock: Clock, streams: Streams) -> None:
        self.clock = clock
        self._config = config
        self._client = make_client
        self._streams = streams
        self._simulation = config.simulation.read()
        self._machines = Machines(make_client("kubelet"))
        self._pods: SimulatedKubelet | None = None

    def complete(self) -> bool:
        """Whether the nodes that the simulation begins with are there and ready."""
        if not self._config.simulation.runs(NODES):
            return True
        readers = self._client("kubelet").readers
        nodes = {node["metadata"]["name"]: node for node in readers.list("nodes")}
        leases = {one["metadata"]["name"] for one in readers.list(LEASES, NAMESPACE)}
        wanted = [f"{group.name}-{i}" for group in self._simulation.groups for i in range(group.count)]
        return all(name in leases and name in nodes and is_welcome(nodes[name]) for name in wanted)

    def resume(self, keys: Sequence[str]) -> None:
        """Go on from a state that was put back; `keys` are those of the store that have changed."""
        if self._pods is not None:
            self._pods.resume(keys)

    def _nodes(self) -> Background:
        version = self._config.api.reported_version
        return SimulatedNodes(self._client("kubelet"), self.clock, self._simulation, self._machines, version)

    def _kubelet(self) -> Background:
        stages = self._simulation.stages
        kubelet = self._pods = SimulatedKubelet(self._client("kubelet"), self.clock, stages, self._machines)
        self._streams.local = SimulatedStreams(kubelet, self._machines)
        return kubelet

    def parts(self) -> list[Background]:
        """The parts that --simulate-controllers leaves on; none is started."""
        options = self._config.simulation
        own: dict[str, list[Callable[[], Background]]] = {
            NODES: [self._nodes, lambda: NodeLeases(self._client("kubelet"), self.clock, self._machines)],
            KUBELET: [self._kubelet],
            SCHEDULER: [lambda: Scheduler(self._client("kube-scheduler"), self.clock)],
        }
        others = {
            name.replace(" ", "-"): make for name, make in controllers(self._client, self.clock).items()
        }
        _refuse_unknown(options.simulate_controllers, {*own, *others})
        out = [make() for name, makers in own.items() if options.runs(name) for make in makers]
        return out + [make() for name, make in others.items() if options.runs(name)]


def _refuse_unknown(asked: tuple[str, ...], known: set[str]) -> None:
    for name in asked:
        plain = name.removeprefix("-")
        if plain != "*" and plain not in known and f"{plain}-controller" not in known:
            raise ConfigurationError(
                f"--simulate-controllers: {quote(plain)} is not in the list of known controllers"
            )


def open_simulation(
    config: Config, make_client: MakeClient, clock: ServerClock, streams: Streams, opened: Opened
) -> SimulatedCluster:
    """Start what simulates; `clock` is one that moves."""
    assert isinstance(clock, Clock)
    cluster = SimulatedCluster(config, make_client, clock, streams)
    for part in cluster.parts():
        opened.start(part)
    return cluster
