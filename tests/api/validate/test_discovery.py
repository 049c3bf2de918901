"""Validation of endpoint slices."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import discovery as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


@pytest.mark.parametrize(("change", "fields"), [
    ({}, []),
    ({"addressType": ""}, ["addressType"]),
    ({"addressType": "IPv6"}, ["endpoints[0].addresses"]),
    ({"endpoints": [{}], "ports": [{"name": "a"}]}, ["ports[0].protocol", "endpoints[0].addresses"]),
    ({"endpoints": [{"addresses": ["127.0.0.1"]}]}, ["endpoints[0].addresses[0]"]),
    ({"addressType": "", "endpoints": [{"hostname": "", "nodeName": ""}]}, ["addressType", "endpoints[0].addresses", "endpoints[0].nodeName", "endpoints[0].hostname"]),
    ({"addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]}, ["endpoints[0].addresses[0]"]),
])  # fmt: skip
def test_slices(change: Object, fields: list[str]) -> None:
    good = {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}]}
    assert [f for f, _ in causes(rules.validate_slice, good | change)] == fields


def test_a_changed_slice_may_keep_its_endpoints_as_a_whole() -> None:
    old = {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.001"]}]}
    assert causes(rules.validate_slice_update, dict(old), old) == []
    more = {**old, "endpoints": [*old["endpoints"], {"addresses": ["192.0.2.2"]}]}
    assert [f for f, _ in causes(rules.validate_slice_update, more, old)] == ["endpoints[0].addresses[0]"]


def test_names_warn() -> None:
    assert rules.slice_warnings({"addressType": "FQDN"}) == ["spec.addressType: FQDN endpoints are deprecated"]
