"""Groups of endpoints."""

from typing import Any

from pilothouse.simulate.workloads.endpoints.slice_writer import EndpointGroups


def test_ports_are_the_same_in_any_order() -> None:
    first: list[Any] = [
        {"name": "a", "port": 1, "protocol": "TCP"},
        {"name": "b", "port": 2, "protocol": "TCP"},
    ]
    groups = EndpointGroups()
    group = groups.group("IPv4", first)
    assert groups.group("IPv4", [dict(reversed(one.items())) for one in reversed(first)]) is group
    assert groups.group("IPv6", first) is not group and groups.group("IPv4", first[:1]) is not group


def test_an_endpoint_is_known_by_its_pod_or_its_address() -> None:
    group = EndpointGroups().group("IPv4", [])
    group.add({"addresses": ["192.0.2.1"]})
    group.add({"addresses": ["192.0.2.2"], "targetRef": {"uid": "1"}})
    group.add({"addresses": ["192.0.2.3"], "targetRef": {"uid": "1"}})
    assert [one["addresses"] for one in group.wanted.values()] == [["192.0.2.1"], ["192.0.2.3"]]
