"""Every cause that IP addresses and service CIDRs can have (pkg/apis/networking/validation)."""

from rules import at, below, each, gives, table, valid

from pilothouse.api.validate import networking as rules

ADDRESS, CIDR, CIDR_UPDATE = rules.validate_ip_address, rules.validate_service_cidr, rules.validate_service_cidr_update
parent = at({}, "spec.parentRef", {"group": "", "resource": "services", "name": "s", "namespace": "n"})
cidrs = each({}, "spec.cidrs")

test_causes = table([
    (ADDRESS, parent()),
    (ADDRESS, {}, "spec.parentRef!"),
    (ADDRESS, parent(group="G_", resource="", name="a/b", namespace="n/m"), *below("spec.parentRef", ".group : <RFC 1123 subdomain>", ".resource!", ".name,namespace : may not contain '/'")),
    (rules.validate_ip_address_update, (parent(name="t"), parent()), 'spec.parentRef={"Group":"","Resource":"services","Namespace":"n","Name":"t"} fixed'),
    (CIDR, cidrs("10.0.0.0/8", "fd00::/64")),
    (CIDR, cidrs(), "spec.cidrs! : at least one CIDR required"),
    (CIDR, cidrs("10.0.0.0/8", "fd00::/64", "11.0.0.0/8"), 'spec.cidrs={"CIDRs":["10.0.0.0/8","fd00::/64","11.0.0.0/8"]} : may only hold up to 2 values'),
    (CIDR, cidrs("x", "10.0.0.0/8"), "spec.cidrs[0] : <CIDR>"),
    (CIDR, cidrs("10.0.0.1/8", "11.0.0.0/8"), "spec.cidrs[0] : must not have bits set beyond the prefix length",
        "spec.cidrs : may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"),
    (CIDR_UPDATE, (cidrs("11.0.0.0/8"), cidrs("10.0.0.0/8")), "spec.cidrs[0] fixed"),
    *valid(CIDR_UPDATE, (cidrs("10.0.0.0/8", "fd00::/64"), cidrs("10.0.0.0/8")), (cidrs("10.0.0.0/16", "2001:db8::/64"), cidrs("10.0.0.0/16"))),
    (CIDR_UPDATE, (cidrs("11.0.0.0/8", "fd00::/64"), cidrs("10.0.0.0/8")), "spec.cidrs[0] fixed"),
    (CIDR_UPDATE, (cidrs(), cidrs("10.0.0.0/8")), "spec.cidrs=null fixed"),
    (CIDR_UPDATE, (cidrs("10.0.0.0/16"), cidrs("10.0.0.0/16", "2001:db8::/64")), "spec.cidrs fixed"),
])  # fmt: skip

CANONICAL = ['must be in canonical form ("2001:db8::1")']
test_addresses_are_their_names = gives(rules.ip_address_name, [("10.0.0.1", []), ("010.0.0.1", ["must not have leading 0s"]), ("2001:db8::1", []), ("2001:0db8::1", CANONICAL)])
