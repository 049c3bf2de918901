"""Cluster IPs: allocation, refusal and release."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_samples import samples

from pilothouse.registry.allocators import AllocationError, ClusterIPAllocator


class Told:
    """Readers that pass on what a test tells."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}

    def subscribe(self, resource: str, callback: Any) -> None:
        self.callbacks[resource] = callback

    def service(self, new: list[str] | None, old: list[str] | None = None) -> None:
        made = [ips and {"spec": {"clusterIPs": ips}} for ips in (new, old)]
        self.callbacks["services"]("key", *made)

    def object(self, ip: str, gone: bool = False) -> None:
        made = {"metadata": {"name": ip}}
        pair = (None, made) if gone else (made, None)
        self.callbacks["ipaddresses.networking.k8s.io"]("key", *pair)


def followed(*cidrs: str) -> tuple[ClusterIPAllocator, Told]:
    addresses, told = ClusterIPAllocator(cidrs), Told()
    addresses.follow(told)  # type: ignore[arg-type]
    return addresses, told


def test_an_address_is_taken_once() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/24"])
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
    addresses = ClusterIPAllocator(["10.0.0.0/24"])
    with pytest.raises(AllocationError) as caught:
        addresses.allocate(ip)
    assert str(caught.value) == text
    assert ip not in addresses and "10.0.0.9" in addresses


def test_dry_run_of_a_named_address_takes_nothing() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/24"])
    addresses.allocate("10.0.0.9")
    assert addresses.allocate("10.0.0.9", dry_run=True) == "10.0.0.9"
    addresses.allocate("10.0.0.10", dry_run=True)
    assert addresses.allocate("10.0.0.10") == "10.0.0.10"


def test_a_dry_run_calls_every_other_address_outside_the_range() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/24"])
    for ip in ("10.0.0.0", "9.9.9.9"):
        with pytest.raises(AllocationError, match="is not in the valid range"):
            addresses.allocate(ip, dry_run=True)
    with pytest.raises(AllocationError, match="does not match the current range"):
        addresses.allocate("9.9.9.9")


def test_a_dry_run_names_the_range_and_chooses_nothing() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/30", "fd00::/112"])
    assert [addresses.allocate(dry_run=True) for _ in range(3)] == ["10.0.0.0"] * 3
    assert addresses.allocate(family="IPv6", dry_run=True) == "fd00::"
    assert {addresses.allocate(), addresses.allocate()} == {"10.0.0.1", "10.0.0.2"}


def test_families() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/24", "fd00::/112"])
    assert addresses.families == ("IPv4", "IPv6")
    assert ":" in addresses.allocate(family="IPv6")
    assert "." in addresses.allocate()


def test_a_full_range() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/29"])
    taken = {addresses.allocate() for _ in range(6)}
    assert len(taken) == 6
    with pytest.raises(AllocationError, match="range is full"):
        addresses.allocate()
    with pytest.raises(AllocationError):
        addresses.allocate("10.0.0.3")
    addresses.allocate("10.0.0.3", dry_run=True)
    found, name = samples(addresses.metrics), "kube_apiserver_clusterip_allocator"
    assert found[f'{name}_allocation_total{{cidr="10.0.0.0/29",scope="dynamic"}}'] == "6"
    for scope in ("dynamic", "static"):
        assert found[f'{name}_allocation_errors_total{{cidr="10.0.0.0/29",scope="{scope}"}}'] == "1"
    assert found[f'{name}_allocation_duration_seconds_count{{cidr="10.0.0.0/29"}}'] == "6"


def test_what_services_have_is_taken_until_they_let_it_go() -> None:
    addresses, told = followed("10.0.0.0/24")
    told.service(["10.0.0.7"])
    told.service(["None"])
    told.service(None, None)
    with pytest.raises(AllocationError):
        addresses.allocate("10.0.0.7")
    told.service(["10.0.0.8"], ["10.0.0.7"])
    assert addresses.allocate("10.0.0.7") == "10.0.0.7"
    told.service(None, ["10.0.0.8"])
    assert addresses.allocate("10.0.0.8") == "10.0.0.8"


def test_an_address_of_two_services_is_free_when_both_are_gone() -> None:
    addresses, told = followed("10.0.0.0/24")
    told.service(["10.0.0.7"])
    told.service(["10.0.0.7"])
    told.service(None, ["10.0.0.7"])
    with pytest.raises(AllocationError):
        addresses.allocate("10.0.0.7")
    told.service(None, ["10.0.0.7"])
    addresses.allocate("10.0.0.7")


def test_what_an_object_stands_for_is_not_chosen_but_may_be_asked_for() -> None:
    addresses, told = followed("10.0.0.0/29")
    for last in range(1, 6):
        told.object(f"10.0.0.{last}")
    assert addresses.allocate() == "10.0.0.6"
    with pytest.raises(AllocationError, match="range is full"):
        addresses.allocate()
    assert addresses.allocate("10.0.0.3") == "10.0.0.3"  # whose it is shows when it is claimed
    told.object("10.0.0.4", gone=True)
    assert addresses.allocate() == "10.0.0.4"


def test_what_was_written_is_held_by_its_service() -> None:
    addresses, told = followed("10.0.0.0/24")
    ip = addresses.allocate()
    told.service([ip])
    addresses.release(ip)
    with pytest.raises(AllocationError):
        addresses.allocate(ip)
    told.service(None, [ip])
    addresses.allocate(ip)


def test_a_sweep_lets_go_of_what_was_cut_off() -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/24"])
    addresses.allocate("10.0.0.9")
    addresses.sweep()
    with pytest.raises(AllocationError):
        addresses.allocate("10.0.0.9")
    addresses.sweep()
    addresses.allocate("10.0.0.9")


@given(st.lists(st.one_of(st.none(), st.integers(1, 14)), max_size=30))
def test_no_address_is_handed_out_twice(wishes: list[int | None]) -> None:
    addresses = ClusterIPAllocator(["10.0.0.0/28"])
    taken: set[str] = set()
    for wish in wishes:
        ip = f"10.0.0.{wish}" if wish is not None else None
        try:
            given = addresses.allocate(ip)
        except AllocationError:
            assert ip in taken or len(taken) == 14
        else:
            assert given not in taken
            taken.add(given)
    for ip in taken:
        addresses.release(ip)
    assert len({addresses.allocate() for _ in range(14)}) == 14
