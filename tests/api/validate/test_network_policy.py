"""Every cause that network policies can have (pkg/apis/networking/validation)."""

from rules import BAD, below, changed, each, gives, table, valid, within

from pilothouse.api.validate import network_policy as rules
from pilothouse.api.values.fields import Object

POLICY = within("spec.egress[0].to[0]", rules.validate_network_policy)
ports = each({"metadata": {}, "spec": {"podSelector": {}, "ingress": [{}]}}, "spec.ingress.0.ports")
peers = each({"metadata": {}, "spec": {"podSelector": {}, "egress": [{}]}}, "spec.egress.0.to")


def block(cidr: str, *excepted: str) -> Object:
    return peers({"ipBlock": {"cidr": cidr, "except": list(excepted)}})


test_causes = table([
    (POLICY, ports({"protocol": "UDP", "port": 53, "endPort": 54}, {"port": "dns"})),
    (POLICY, ports({"protocol": "X", "endPort": 1}), "spec.ingress[0].ports[0].protocol TCP|UDP|SCTP", "spec.ingress[0].ports[0].endPort : may not be specified when `port` is not specified"),
    (POLICY, ports({"port": "Dns_", "endPort": 1}, {"port": 0, "endPort": 70_000}, {"port": 2, "endPort": 1}),
        *below("spec.ingress[0].ports", "[0].endPort : may not be specified when `port` is non-numeric", "[0].port : must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        "[1].port,endPort : <port>", "[2].endPort=2 : must be greater than or equal to `port`")),
    (POLICY, peers({"podSelector": BAD, "namespaceSelector": {}}), "~.podSelector.matchExpressions[0].values[0] : <label value>"),
    *valid(changed(rules.validate_network_policy), ({"spec": {"podSelector": BAD}}, {"spec": {"podSelector": BAD}}), (block("010.0.0.0/8"), block("010.0.0.0/8"))),
    (POLICY, peers({}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}), "~! : must specify a peer", "spec.egress[0].to[1]- : may not specify both ipBlock and another peer"),
    (POLICY, block(""), "~.ipBlock.cidr!"),
    (POLICY, block("x"), "~.ipBlock.cidr : <CIDR>"),
    (POLICY, block("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16", "10.0.0.0/8", "fd00::/64", "y"), "~.ipBlock.except[1],[2],[3] : must be a strict subset of `cidr`", "~.ipBlock.except[4] : <CIDR>"),
    (POLICY, {"metadata": {}, "spec": {"podSelector": BAD, "policyTypes": ["Odd", "Ingress", "Egress"]}}, "spec.podSelector.matchExpressions[0].values[0] : <label value>",
        "spec.policyTypes : may not specify more than two policyTypes"),
    (POLICY, {"metadata": {}, "spec": {"podSelector": {}, "policyTypes": ["Odd", "Egress"]}}, "spec.policyTypes[0] Ingress|Egress"),
    (POLICY, {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}]}]}},
        "spec.ingress[0].from[0].ipBlock.except[1] : must be a strict subset of `cidr`"),
])  # fmt: skip
test_exceptions_are_strictly_smaller = table([
    *valid(POLICY, block("10.0.0.0/8", "10.1.0.0/16"), block("fd00::/8", "fd00:1::/32")),
    *((POLICY, block(whole, part), "~.ipBlock.except[0] : must be a strict subset of `cidr`")
        for whole, part in [("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.0/8", "11.0.0.0/16"), ("0.0.0.0/0", "fd00:1::/32")]),
])  # fmt: skip

test_warnings = gives(rules.network_policy_warnings, [
    (block("10.0.0.1/8", "10.1.0.1/16"), below("spec.egress[0].to[0].ipBlock", '.cidr: CIDR value "10.0.0.1/8" is ambiguous …', '.except[0]: CIDR value "10.1.0.1/16" is ambiguous …')),
    (peers({"podSelector": {}}), []),
])  # fmt: skip
