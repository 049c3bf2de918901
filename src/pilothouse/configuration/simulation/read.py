"""Reads the value of --simulate: members of a group of nodes, or the path of a file."""

from pathlib import Path

from pilothouse.api import configfile
from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.simulation import groups, stages
from pilothouse.configuration.simulation.groups import MOST, NodeGroup
from pilothouse.configuration.simulation.stages import Stage
from pilothouse.process.frozen import frozen

VERSION, KIND = "simulate.pilothouse.dev/v1alpha1", "Simulation"


@frozen
class Simulation:
    """The nodes and the behaviour of containers that are simulated."""

    groups: tuple[NodeGroup, ...] = ()
    stages: tuple[Stage, ...] = ()


def read(text: str) -> Simulation:
    """The simulation that a flag describes; ConfigurationError says what cannot be."""
    if "=" in text and not text.startswith((".", "/")):
        return Simulation((groups.from_text(text),))
    found = configfile.read(Path(text), f"cannot read {text}:")
    configfile.expect(found, (VERSION,), KIND, ("nodes", "stages"))
    for member in ("nodes", "stages"):
        if not isinstance(found.get(member) or [], list):
            raise ConfigurationError(f"{member}: it must be a list")
    made = tuple(groups.from_object(one, f"nodes[{i}].") for i, one in enumerate(found.get("nodes") or ()))
    if len({one.name for one in made}) < len(made):
        raise ConfigurationError("nodes: two groups must not have the same name")
    if sum(one.count for one in made) > MOST:
        raise ConfigurationError(f"nodes: there can be at most {MOST}")
    rules = tuple(stages.stage(one, f"stages[{i}]") for i, one in enumerate(found.get("stages") or ()))
    return Simulation(made, rules)
