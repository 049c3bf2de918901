"""Groups of simulated nodes."""

import pytest

from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.simulation.groups import RESOURCES, from_object, from_text


def test_a_text_describes_a_group() -> None:
    group = from_text(
        "nodes=5,cpu=8,memory=32Gi,a.b/c=2,zones=x;y,labels=k=v;l=,taints=t:NoExecute;u=w:NoSchedule"
    )
    assert (group.name, group.count, group.zones) == ("node", 5, ("x", "y"))
    assert group.resources == {**RESOURCES, "cpu": "8", "memory": "32Gi", "a.b/c": "2"}
    assert group.labels == {"k": "v", "l": ""}
    assert group.taints == (
        {"key": "t", "effect": "NoExecute"},
        {"key": "u", "value": "w", "effect": "NoSchedule"},
    )


def test_a_number_of_zones_stands_for_their_names() -> None:
    assert from_text("nodes=1,zones=2").zones == ("zone-0", "zone-1")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nodes=x", 'nodes: "x" must be a number between 0 and 10000'),
        ("nodes=10001", 'nodes: "10001" must be a number between 0 and 10000'),
        ("nodes", '"nodes" must be formatted as name=value'),
        ("nodes=1,cpus=2", 'there is no "cpus": want nodes, cpu, memory'),
        ("nodes=1,cpu=much", 'cpu: "much": '),
        ("nodes=1,memory=-1", "memory: -1 can not be negative"),
        ("nodes=1,pods=501", "pods: a node can have at most 500"),
        ("nodes=1,labels=a", 'labels: "a" must be formatted as key=value'),
        ("nodes=1,labels=a b=c", "labels: "),
        ("nodes=1,taints=a=b", "taints[0]: want a key, and an effect of NoSchedule"),
        ("nodes=1,taints=a b:NoSchedule", "taints: "),
        ("nodes=1,zones=a_;b", "zones: "),
        ("nodes=1,arch=z80", 'arch: there is no "z80"'),
        ("nodes=1,os=plan9", 'os: "plan9" must be linux or windows'),
    ],
)
def test_a_fault_names_the_member(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        from_text(text)
    assert str(error.value).startswith(fault)


def test_a_fault_of_a_file_names_its_path() -> None:
    for given, fault in (
        ({"name": "A"}, 'nodes[0].name: "A": '),
        ({"counts": 1}, 'strict decoding error: unknown field "nodes[0].counts"'),
        ({"resources": []}, "nodes[0].resources: it must be an object of texts"),
        ({"resources": {"cores": 1}}, 'nodes[0].resources: "cores" is no resource of a node'),
    ):
        with pytest.raises(ConfigurationError) as error:
            from_object(given, "nodes[0].")
        assert str(error.value).startswith(fault)
