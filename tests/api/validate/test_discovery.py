"""Validation of endpoint slices."""

from rules import gives, table

from pilothouse.api.validate import discovery as rules

SLICE, UPDATE = rules.validate_slice, rules.validate_slice_update
GOOD = {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}]}
OLD = {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.001"]}]}

test_causes = table([
    (SLICE, GOOD),
    (SLICE, {**GOOD, "addressType": ""}, "addressType!"),
    (SLICE, {**GOOD, "addressType": "IPv6"}, 'endpoints[0].addresses="192.0.2.1" : must be an IPv6 address'),
    (SLICE, {**GOOD, "endpoints": [{}], "ports": [{"name": "a"}]}, "ports[0].protocol!", "endpoints[0].addresses! : must contain at least 1 address"),
    (SLICE, {**GOOD, "endpoints": [{"addresses": ["127.0.0.1"]}]}, "endpoints[0].addresses[0] : may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    (SLICE, {**GOOD, "addressType": "", "endpoints": [{"hostname": "", "nodeName": ""}]}, "addressType!", "endpoints[0].addresses! : must contain at least 1 address",
        "endpoints[0].nodeName : <RFC 1123 subdomain>", "endpoints[0].hostname : <RFC 1123 label>"),
    (SLICE, {**GOOD, "addressType": "IPv6", "endpoints": [{"addresses": ["2001:DB8::1"]}]}, 'endpoints[0].addresses[0] : must be in canonical form ("2001:db8::1")'),
    (UPDATE, (OLD, OLD)),
    (UPDATE, ({**OLD, "endpoints": [*OLD["endpoints"], {"addresses": ["192.0.2.2"]}]}, OLD), "endpoints[0].addresses[0] : must not have leading 0s"),
])  # fmt: skip

test_names_warn = gives(rules.slice_warnings, [({"addressType": "FQDN"}, ["spec.addressType: FQDN endpoints are deprecated"])])
