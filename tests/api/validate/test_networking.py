"""Every cause that IP addresses and service CIDRs can have (pkg/apis/networking/validation)."""

from rules import at, each, gives, table

from pilothouse.api.validate import networking as rules

ADDRESS, CIDR, CIDR_UPDATE = rules.validate_ip_address, rules.validate_service_cidr, rules.validate_service_cidr_update
parent = at({}, "spec.parentRef", {"group": "", "resource": "services", "name": "s", "namespace": "n"})
cidrs = each({}, "spec.cidrs")

test_causes = table([
    (ADDRESS, parent(), []),
    (ADDRESS, {}, ["spec.parentRef: Required value"]),
    (ADDRESS, parent(group="G_", resource="", name="a/b", namespace="n/m"), ['spec.parentRef.group: Invalid value: "G_": <RFC 1123 subdomain>', "spec.parentRef.resource: Required value",
        "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'", "spec.parentRef.namespace: Invalid value: \"n/m\": may not contain '/'"]),
    (rules.validate_ip_address_update, (parent(name="t"), parent()), ['spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"n","Name":"t"}: field is immutable']),
    (CIDR, cidrs("10.0.0.0/8", "fd00::/64"), []),
    (CIDR, cidrs(), ["spec.cidrs: Required value: at least one CIDR required"]),
    (CIDR, cidrs("10.0.0.0/8", "fd00::/64", "11.0.0.0/8"), ['spec.cidrs: Invalid value: {"CIDRs":["10.0.0.0/8","fd00::/64","11.0.0.0/8"]}: may only hold up to 2 values']),
    (CIDR, cidrs("10.0.0.0/8", "11.0.0.0/8"), ['spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64']),
    (CIDR, cidrs("x", "10.0.0.0/8"), ['spec.cidrs[0]: Invalid value: "x": <CIDR>']),
    (CIDR, cidrs("10.0.0.1/8", "11.0.0.0/8"), ['spec.cidrs[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
        'spec.cidrs: Invalid value: ["10.0.0.1/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64']),
    (CIDR, cidrs("10.0.0.1/8"), ['spec.cidrs[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length']),
    (CIDR_UPDATE, (cidrs("11.0.0.0/8"), cidrs("10.0.0.0/8")), ['spec.cidrs[0]: Invalid value: "11.0.0.0/8": field is immutable']),
    (CIDR_UPDATE, (cidrs("10.0.0.0/8", "fd00::/64"), cidrs("10.0.0.0/8")), []),
    (CIDR_UPDATE, (cidrs("11.0.0.0/8", "fd00::/64"), cidrs("10.0.0.0/8")), ['spec.cidrs[0]: Invalid value: "11.0.0.0/8": field is immutable']),
    (CIDR_UPDATE, (cidrs(), cidrs("10.0.0.0/8")), ["spec.cidrs: Invalid value: null: field is immutable"]),
    (CIDR_UPDATE, (cidrs("10.0.0.0/16", "2001:db8::/64"), cidrs("10.0.0.0/16")), []),
    (CIDR_UPDATE, (cidrs("10.1.0.0/16"), cidrs("10.0.0.0/16")), ['spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable']),
    (CIDR_UPDATE, (cidrs("10.0.0.0/16"), cidrs("10.0.0.0/16", "2001:db8::/64")), ['spec.cidrs: Invalid value: ["10.0.0.0/16"]: field is immutable']),
])  # fmt: skip


CANONICAL = ['must be in canonical form ("2001:db8::1")']
test_addresses_are_their_names = gives(rules.ip_address_name, [("10.0.0.1", []), ("010.0.0.1", ["must not have leading 0s"]), ("2001:db8::1", []), ("2001:0db8::1", CANONICAL)])
