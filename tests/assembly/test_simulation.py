"""The parts that simulate run by name, and nothing of them is loaded unless the flag asks for it."""

import pytest
from quality.test_imports import python
from simulate.conftest import START
from simulate.simulated import NODES, Simulated
from virtual_time import VirtualLoop

from pilothouse.api.configfile import ConfigurationError
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.kubelet.kubelet import SimulatedKubelet
from pilothouse.simulate.leases import NodeLeases
from pilothouse.simulate.nodes import SimulatedNodes
from pilothouse.simulate.scheduler.scheduler import Scheduler

OWN = {SimulatedNodes, NodeLeases, SimulatedKubelet, Scheduler}


@pytest.fixture
def clock(virtual: VirtualLoop) -> Clock:
    return Clock(lambda: START + virtual.time())


@pytest.mark.parametrize(
    ("only", "parts"),
    [
        ("*", OWN),
        ("*,-scheduler", OWN - {Scheduler}),
        ("nodes", {SimulatedNodes, NodeLeases}),
        ("kubelet,scheduler", {SimulatedKubelet, Scheduler}),
        ("-*", set()),
    ],
)
async def test_parts_are_switched_off_by_name(clock: Clock, only: str, parts: set[type]) -> None:
    async with Simulated(clock, only=only) as rig:
        made = {type(part) for part in rig.cluster.parts()}
        assert made & OWN == parts
        assert bool(made - OWN) == ("*" in only.split(","))
        assert (rig.handlers.streams.local is not None) == (SimulatedKubelet in parts)


async def test_one_controller_of_workloads_is_switched_off(clock: Clock) -> None:
    async with Simulated(clock) as rig, Simulated(clock, only="*,-deployment") as other:
        names = [{type(part).__name__ for part in one.cluster.parts()} for one in (rig, other)]
        assert names[0] - names[1] == {"Deployments"}
    async with Simulated(clock, only="ingress-addresses") as rig:
        assert [type(part).__name__ for part in rig.cluster.parts()] == ["IngressAddresses"]


async def test_an_unknown_name_is_refused(clock: Clock) -> None:
    with pytest.raises(ConfigurationError, match='"deploymen" is not in the list of known controllers'):
        async with Simulated(clock, only="*,-deploymen"):
            pass


async def test_it_is_complete_once_the_nodes_are_ready(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2") as rig:
        assert rig.cluster.complete()
        await rig.ok("DELETE", f"{NODES}/node-1")
        assert not rig.cluster.complete()
    async with Simulated(clock, only="kubelet") as rig:
        assert rig.cluster.complete()


def test_nothing_of_it_is_loaded_without_the_flag() -> None:
    program = (
        "import sys; from pilothouse.assembly import process; from pilothouse.configuration import options;"
        "options.parse(['--storage-backend=memory']);"
        "print([name for name in sys.modules if 'simulat' in name])"
    )
    assert python("-c", program).stdout.strip() == "['pilothouse.configuration.sections.simulation']"
