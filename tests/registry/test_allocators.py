"""Cluster addresses and node ports: what is taken, refused and given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.fields import Object
from pilothouse.registry.allocators import Addresses, AllocationError, NodePorts


def test_an_address_is_taken_once() -> None:
    addresses = Addresses(["10.0.0.0/24"])
    assert addresses.allocate("10.0.0.5") == "10.0.0.5"
    with pytest.raises(AllocationError, match="provided IP is already allocated"):
        addresses.allocate("10.0.0.5")
    addresses.release("10.0.0.5")
    assert addresses.allocate("10.0.0.5") == "10.0.0.5"


@pytest.mark.parametrize(
    ("ip", "text"),
    [
        ("10.1.0.1", "the provided network does not match the current range"),
        ("fd00::1", "the provided network does not match the current range"),
        (
            "10.0.0.0",
            "the provided IP (10.0.0.0) is not in the valid range. The range of valid IPs is 10.0.0.0/24",
        ),
    ],
)
def test_addresses_outside_the_range(ip: str, text: str) -> None:
    with pytest.raises(AllocationError) as caught:
        Addresses(["10.0.0.0/24"]).allocate(ip)
    assert str(caught.value) == text


def test_dry_run_of_a_named_address_takes_nothing() -> None:
    addresses = Addresses(["10.0.0.0/24"])
    addresses.allocate("10.0.0.9")
    assert addresses.allocate("10.0.0.9", dry_run=True) == "10.0.0.9"
    addresses.allocate("10.0.0.10", dry_run=True)
    assert addresses.allocate("10.0.0.10") == "10.0.0.10"


def test_families() -> None:
    addresses = Addresses(["10.0.0.0/24", "fd00::/112"])
    assert addresses.families == ("IPv4", "IPv6")
    assert ":" in addresses.allocate(family="IPv6")
    assert "." in addresses.allocate()


def test_a_full_range() -> None:
    addresses = Addresses(["10.0.0.0/29"])
    taken = {addresses.allocate() for _ in range(6)}
    assert len(taken) == 6
    with pytest.raises(AllocationError, match="range is full"):
        addresses.allocate()


def test_repair_takes_what_services_have() -> None:
    addresses, ports = Addresses(["10.0.0.0/24"]), NodePorts()
    spec = {"clusterIPs": ["10.0.0.7"], "ports": [{"nodePort": 30007}], "healthCheckNodePort": 30008}
    services: list[Object] = [{"spec": spec}, {"spec": {"clusterIPs": ["None"]}}, {}]
    addresses.repair(services)
    ports.repair(services)
    with pytest.raises(AllocationError):
        addresses.allocate("10.0.0.7")
    for port in (30007, 30008):
        with pytest.raises(AllocationError, match="provided port is already allocated"):
            ports.allocate(port)


def test_a_port_outside_the_range() -> None:
    with pytest.raises(AllocationError) as caught:
        NodePorts().allocate(80)
    text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
    assert str(caught.value) == text


@given(st.lists(st.one_of(st.none(), st.integers(30000, 30009)), max_size=30))
def test_no_port_is_handed_out_twice(wishes: list[int | None]) -> None:
    ports = NodePorts(30000, 30009)
    taken: set[int] = set()
    for wish in wishes:
        try:
            port = ports.allocate(wish)
        except AllocationError:
            assert wish in taken or len(taken) == 10
        else:
            assert port not in taken
            taken.add(port)
    for port in taken:
        ports.release(port)
    assert {ports.allocate() for _ in range(10)} == set(range(30000, 30010))
