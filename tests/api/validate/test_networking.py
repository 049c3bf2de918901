"""Validation of ingresses, policies and addresses."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import networking as rules

Causes = list[tuple[str, str]]


def causes(check: Callable[..., None], *objects: Object) -> Causes:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


INVALID_BACKEND = 'Invalid value: "": resource or service backend is required'


def ingress(**path: object) -> Object:
    entry = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}, **path}
    return {"metadata": {}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [entry]}}]}}


@pytest.mark.parametrize(("path", "field", "message"), [
    ({"path": "x"}, "path", 'Invalid value: "x": must be an absolute path'),
    ({"path": "/a//b"}, "path", "Invalid value: \"/a//b\": must not contain '//'"),
    ({"pathType": "Odd"}, "pathType", 'Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"'),
    ({"backend": {}}, "backend", INVALID_BACKEND),
    ({"backend": {"service": {"name": "s"}}}, "backend", "Required value: port name or number is required"),
])  # fmt: skip
def test_ingress_paths(path: Object, field: str, message: str) -> None:
    assert causes(rules.validate_ingress, ingress(**path)) == [(f"spec.rules[0].http.paths[0].{field}", message)]


def test_ingress_without_anything() -> None:
    message = "Invalid value: null: either `defaultBackend` or `rules` must be specified"
    assert causes(rules.validate_ingress, {"spec": {}}) == [("spec", message)]
    assert causes(rules.validate_ingress, ingress()) == []


def test_blocks_hold_their_exceptions() -> None:
    policy: Object = {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}]}]}}
    assert causes(rules.validate_network_policy, policy) == [("spec.ingress[0].from[0].ipBlock.except[1]", 'Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`')]


def test_a_service_range_may_become_dual_stack() -> None:
    old: Object = {"spec": {"cidrs": ["10.0.0.0/16"]}}
    both: Object = {"spec": {"cidrs": ["10.0.0.0/16", "2001:db8::/64"]}}
    other: Object = {"spec": {"cidrs": ["10.1.0.0/16"]}}
    assert causes(rules.validate_service_cidr_update, both, old) == []
    assert causes(rules.validate_service_cidr_update, other, old) == [("spec.cidrs[0]", 'Invalid value: "10.1.0.0/16": field is immutable')]
    assert len(causes(rules.validate_service_cidr_update, old, both)) == 1


def test_ip_addresses_are_named_canonically() -> None:
    assert rules.ip_address_name("2001:db8::1") == []
    assert rules.ip_address_name("2001:0db8::1") == ['must be in canonical form ("2001:db8::1")']
