"""Every cause that ingresses, their classes,
network policies and addresses can have (pkg/apis/networking/validation)."""

import pytest
from rules import at, below, changed, each, put, table, within

from pilothouse.api.validate import networking as rules
from pilothouse.api.values.fields import Object

INGRESS, POLICY = within("spec.rules[0].http.paths[0]", rules.validate_ingress), within("spec.egress[0].to[0]", rules.validate_network_policy)
STATUS, CLASS, ADDRESS, CIDR, CIDR_UPDATE = rules.validate_ingress_status, rules.validate_ingress_class, rules.validate_ip_address, rules.validate_service_cidr, rules.validate_service_cidr_update
SERVICE = {"name": "s", "port": {"number": 80}}
PATH = {"path": "/", "pathType": "Prefix", "backend": {"service": SERVICE}}
BASE: Object = {"metadata": {}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [PATH]}}]}}
IC: Object = {"spec": {"controller": "example.com/c", "parameters": {"kind": "K", "name": "n", "scope": "Cluster"}}}
PARENT = {"group": "", "resource": "services", "name": "s", "namespace": "n"}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}


path = at(BASE, "spec.rules.0.http.paths[]", PATH)
backend = at(BASE, "spec.defaultBackend", {})
service = at(BASE, "spec.defaultBackend.service", SERVICE)
parameters = at(IC, "spec.parameters")
parent = at({}, "spec.parentRef", PARENT)
balanced = each({}, "status.loadBalancer.ingress")
cidrs = each({}, "spec.cidrs")
ports = each({"metadata": {}, "spec": {"podSelector": {}, "ingress": [{}]}}, "spec.ingress.0.ports")
peers = each({"metadata": {}, "spec": {"podSelector": {}, "egress": [{}]}}, "spec.egress.0.to")


def block(cidr: str, *excepted: str) -> Object:
    return peers({"ipBlock": {"cidr": cidr, "except": list(excepted)}})


test_causes = table([
    (INGRESS, BASE, []),
    (INGRESS, put(BASE, {"spec.rules.0.host": "10.0.0.1"}), ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address']),
    (INGRESS, put(BASE, {"spec.rules.0.host": "*.a.b"}), []),
    (INGRESS, put(BASE, {"spec.rules.0.host": "*a"}),
        ["spec.rules[0].host: Invalid value: \"*a\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"]),
    (INGRESS, put(BASE, {"spec.rules.0.http": {"paths": []}}), ["spec.rules[0].http.paths: Required value"]),
    (INGRESS, put(BASE, {"spec.rules.0.http": None}), []),
    (INGRESS, put(BASE, {"spec.ingressClassName": "I_"}), ['spec.ingressClassName: Invalid value: "I_": <RFC 1123 subdomain>']),
    (INGRESS, put(BASE, {"spec.tls": [{"hosts": ["a.b", "A_"], "secretName": "S_"}]}), ['spec.tls[0].hosts[1]: Invalid value: "A_": <RFC 1123 subdomain>',
        'spec.tls[0].secretName: Invalid value: "S_": <RFC 1123 subdomain>']),
    (rules.validate_ingress_update, (put(BASE, {"spec.tls": [{"secretName": "S_"}]}), put(BASE, {"spec.tls": [{"secretName": "T_"}]})), []),
    (INGRESS, put(BASE, {"metadata.annotations": {rules.CLASS_ANNOTATION: "a"}, "spec.ingressClassName": "b"}),
        ['annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified']),
    (INGRESS, path(pathType=None), ["~.pathType: Required value: pathType must be specified"]),
    (INGRESS, path(pathType="Exact", path="/a/./b/%2f/.."), ["~.path: Invalid value: \"/a/./b/%2f/..\": must not contain '/./'", "~.path: Invalid value: \"/a/./b/%2f/..\": must not contain '%2f'",
        "~.path: Invalid value: \"/a/./b/%2f/..\": cannot end with '/..'"]),
    (INGRESS, path(pathType="ImplementationSpecific", path="a"), ['~.path: Invalid value: "a": must be an absolute path']),
    (INGRESS, path(pathType="Odd", path="a"), ['~.pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"']),
    (INGRESS, backend(service=SERVICE, resource={"kind": "K", "name": "n"}), ['spec.defaultBackend: Invalid value: "": cannot set both resource and service backends']),
    (INGRESS, backend(resource={"apiGroup": "A_", "kind": "a/b"}), ['spec.defaultBackend.resource.apiGroup: Invalid value: "A_": <RFC 1123 subdomain>',
        "spec.defaultBackend.resource.kind: Invalid value: \"a/b\": may not contain '/'", "spec.defaultBackend.resource.name: Required value"]),
    (INGRESS, service(name=""), ["spec.defaultBackend.service.name: Required value"]),
    (INGRESS, service(name="S_"), ['spec.defaultBackend.service.name: Invalid value: "S_": <RFC 1123 label>']),
    (INGRESS, service(port={"name": "http", "number": 80}), ['spec.defaultBackend: Invalid value: "": cannot set both port name & port number']),
    (INGRESS, service(port={"name": "Http_"}), ['spec.defaultBackend.service.port.name: Invalid value: "Http_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)']),
    (INGRESS, service(port={"number": 70_000}), ["spec.defaultBackend.service.port.number: Invalid value: 70000: <port>"]),
    (STATUS, (balanced({"ip": "10.0.0.1"}, {"hostname": "a.b"}), {}), []),
    (STATUS, (balanced({"ip": "x", "hostname": "A_"}, {"hostname": "10.0.0.1"}), {}), below("status.loadBalancer.ingress", '[0].ip: Invalid value: "x": <IP address>',
        '[0].hostname: Invalid value: "A_": <RFC 1123 subdomain>', '[1].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address')),
    (CLASS, IC, []),
    (CLASS, put(IC, {"spec.controller": "c" * 251}), ["spec.controller: Too long: may not be more than 250 bytes",
        'spec.controller: Invalid value: "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc": must be a domain-prefixed path (such as "acme.io/foo")']),
    (CLASS, parameters(apiGroup="A_", kind="", name="a/b", scope=None), ['spec.parameters.apiGroup: Invalid value: "A_": <RFC 1123 subdomain>', "spec.parameters.kind: Required value",
        "spec.parameters.name: Invalid value: \"a/b\": may not contain '/'", "spec.parameters.scope: Required value"]),
    (CLASS, parameters(scope="Odd"), ['spec.parameters.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespace"']),
    (CLASS, parameters(scope="Namespace"), ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]),
    (CLASS, parameters(scope="Namespace", namespace="N_"), ['spec.parameters.namespace: Invalid value: "N_": <RFC 1123 label>']),
    (CLASS, parameters(namespace="n"), ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]),
    (rules.validate_ingress_class_update, (put(IC, {"spec.controller": "example.com/d"}), IC), ['spec.controller: Invalid value: "example.com/d": field is immutable']),
    (POLICY, ports({"protocol": "UDP", "port": 53, "endPort": 54}, {"port": "dns"}), []),
    (POLICY, ports({"protocol": "X", "endPort": 1}), ['spec.ingress[0].ports[0].protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"',
        "spec.ingress[0].ports[0].endPort: Invalid value: 1: may not be specified when `port` is not specified"]),
    (POLICY, ports({"port": "Dns_", "endPort": 1}, {"port": 0, "endPort": 70_000}, {"port": 2, "endPort": 1}), below("spec.ingress[0].ports",
        "[0].endPort: Invalid value: 1: may not be specified when `port` is non-numeric", '[0].port: Invalid value: "Dns_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
        "[1].port: Invalid value: 0: <port>", "[1].endPort: Invalid value: 70000: <port>", "[2].endPort: Invalid value: 2: must be greater than or equal to `port`")),
    (POLICY, peers({"podSelector": BAD, "namespaceSelector": {}}), ['~.podSelector.matchExpressions[0].values[0]: Invalid value: "-": <label value>']),
    (changed(rules.validate_network_policy), ({"spec": {"podSelector": BAD}}, {"spec": {"podSelector": BAD}}), []),
    (changed(rules.validate_network_policy), (block("010.0.0.0/8"), block("010.0.0.0/8")), []),
    (POLICY, peers({}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}), ["~: Required value: must specify a peer",
        "spec.egress[0].to[1]: Forbidden: may not specify both ipBlock and another peer"]),
    (POLICY, block(""), ["~.ipBlock.cidr: Required value"]),
    (POLICY, block("x"), ['~.ipBlock.cidr: Invalid value: "x": <CIDR>']),
    (POLICY, block("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16", "10.0.0.0/8", "fd00::/64", "y"), below("~.ipBlock.except", '[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        '[2]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`', '[3]: Invalid value: "fd00::/64": must be a strict subset of `cidr`', '[4]: Invalid value: "y": <CIDR>')),
    (POLICY, {"metadata": {}, "spec": {"podSelector": BAD, "policyTypes": ["Odd", "Ingress", "Egress"]}}, ['spec.podSelector.matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        'spec.policyTypes: Invalid value: ["Odd","Ingress","Egress"]: may not specify more than two policyTypes']),
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
    (INGRESS, path(path="x"), ['~.path: Invalid value: "x": must be an absolute path']),
    (INGRESS, path(path="/a//b"), ["~.path: Invalid value: \"/a//b\": must not contain '//'"]),
    (INGRESS, path(pathType="Odd"), ['~.pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"']),
    (INGRESS, path(backend={}), ['~.backend: Invalid value: "": resource or service backend is required']),
    (INGRESS, path(backend={"service": {"name": "s"}}), ["~.backend: Required value: port name or number is required"]),
    (INGRESS, {"spec": {}}, ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
    (POLICY, {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}}]}]}},
        ['spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`']),
    (CIDR_UPDATE, (cidrs("10.0.0.0/16", "2001:db8::/64"), cidrs("10.0.0.0/16")), []),
    (CIDR_UPDATE, (cidrs("10.1.0.0/16"), cidrs("10.0.0.0/16")), ['spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable']),
    (CIDR_UPDATE, (cidrs("10.0.0.0/16"), cidrs("10.0.0.0/16", "2001:db8::/64")), ['spec.cidrs: Invalid value: ["10.0.0.0/16"]: field is immutable']),
])  # fmt: skip


def test_warnings() -> None:
    assert rules.ingress_status_warnings(balanced({"hostname": "a"}, {"ip": "010.0.0.1"}))
    assert rules.network_policy_warnings(block("10.0.0.1/8", "10.1.0.1/16"))
    assert rules.network_policy_warnings(peers({"podSelector": {}})) == []


test_exceptions_are_strictly_smaller = table([
    (POLICY, block(whole, part), [] if good else [f'~.ipBlock.except[0]: Invalid value: "{part}": must be a strict subset of `cidr`'])
    for whole, part, good in [
        ("10.0.0.0/8", "10.1.0.0/16", True), ("10.0.0.0/8", "10.0.0.0/8", False), ("10.0.0.0/8", "11.0.0.0/16", False), ("fd00::/8", "fd00:1::/32", True), ("0.0.0.0/0", "fd00:1::/32", False)]
])  # fmt: skip
CANONICAL = ['must be in canonical form ("2001:db8::1")']


@pytest.mark.parametrize(("name", "faults"), [("10.0.0.1", []), ("010.0.0.1", ["must not have leading 0s"]), ("2001:db8::1", []), ("2001:0db8::1", CANONICAL)])
def test_addresses_are_their_names(name: str, faults: list[str]) -> None:
    assert rules.ip_address_name(name) == faults
