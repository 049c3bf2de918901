"""Every cause that endpoints can have (pkg/apis/core/validation)."""

from rules import below, changed, table, within

from pilothouse.api.validate import endpoints as rules
from pilothouse.api.values.fields import Object

ENDPOINTS = within("subsets[0]", rules.validate_endpoints)
PORT = {"port": 80, "protocol": "TCP", "targetPort": 80}


def endpoints(*addresses: Object, ports: list[Object] | None = None) -> Object:
    return {"subsets": [{"addresses": list(addresses), "ports": ports or []}]}


test_causes = table([
    (ENDPOINTS, endpoints({"ip": "10.0.0.1", "hostname": "h", "nodeName": "n"}, ports=[PORT])),
    (ENDPOINTS, {"subsets": [{}]}, "~! : must specify `addresses` or `notReadyAddresses`"),
    (ENDPOINTS, endpoints({"ip": "x", "hostname": "A_", "nodeName": "N_"}), *below("~.addresses[0]", ".ip : <IP address>", ".hostname : <RFC 1123 label>", ".nodeName : <RFC 1123 subdomain>",
        ".ip : must be a valid IP address")),
    (ENDPOINTS, endpoints({"ip": "10.0.0.1"}, ports=[{"port": 0}, {"name": "A_", "port": 1, "protocol": "X", "appProtocol": "a b"}]), *below("~.ports", "[0].name!", "[0].port : <port>",
        "[0].protocol!", "[1].name : <RFC 1123 label>", "[1].protocol SCTP|TCP|UDP", "[1].appProtocol : <name part>")),
    (changed(rules.validate_endpoints), (endpoints({"ip": "010.0.0.1"}), endpoints({"ip": "010.0.0.1"}))),
])  # fmt: skip
