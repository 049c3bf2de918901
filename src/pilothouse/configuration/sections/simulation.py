"""A cluster that runs nothing and looks alive, and what tests move a server with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pilothouse.configuration.sections.section import Section, own
from pilothouse.process.frozen import frozen

if TYPE_CHECKING:
    from pilothouse.configuration.simulation.read import Simulation


@frozen(eq=False)
class SimulationOptions(Section):
    """The settings of the simulation; nothing is simulated unless --simulate is given."""

    # fmt: off
    simulate: str = own("", "string",
        "Simulate nodes, a scheduler, kubelets and the controllers of workloads, so that pods become ready "
        "though nothing runs: nodes=N, with cpu, memory, pods, arch, os, labels, taints and zones, or a file "
        "of groups of nodes and of stages. See docs/simulate.md.")
    simulate_controllers: tuple[str, ...] = own(("*",), "strings",
        "What of --simulate runs: * for all, NAME for one, -NAME for all but one. The names are nodes, "
        "scheduler, kubelet, and those of kube-controller-manager, such as deployment-controller.")
    test_api: bool = own(False, "bool",
        "Serve what tests move a server with: its clock at /debug/pilothouse/clock, and states that can be "
        "put back at /debug/pilothouse/checkpoints. On with --simulate. See docs/testing.md.")
    # fmt: on

    @property
    def on(self) -> bool:
        """Whether anything is simulated."""
        return bool(self.simulate)

    @property
    def movable(self) -> bool:
        """Whether tests may move the clock, and put states back."""
        return self.test_api or self.on

    def read(self) -> "Simulation":
        """The simulation that --simulate describes; raises ValueError."""
        from pilothouse.configuration.simulation.read import read

        return read(self.simulate)

    def runs(self, name: str) -> bool:
        """Whether --simulate-controllers asks for this one: a name beats *, and -name beats both."""
        names = {name, name.removesuffix("-controller")}
        if any(f"-{one}" in self.simulate_controllers for one in names):
            return False
        return bool(names & set(self.simulate_controllers)) or "*" in self.simulate_controllers

    def faults(self) -> Iterator[str]:
        """Yield the faults: a simulation that cannot be."""
        if not self.on:
            return
        try:
            self.read()
        except ValueError as error:
            yield f"--simulate: {error}"
