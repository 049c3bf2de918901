"""Every cause that endpoints can have (pkg/apis/core/validation)."""

from rules import below, changed, table, within

from pilothouse.api.validate import endpoints as rules
from pilothouse.api.values.fields import Object

ENDPOINTS = within("subsets[0]", rules.validate_endpoints)
PORT = {"port": 80, "protocol": "TCP", "targetPort": 80}


def endpoints(*addresses: Object, ports: list[Object] | None = None) -> Object:
    return {"subsets": [{"addresses": list(addresses), "ports": ports or []}]}


test_causes = table([
    (ENDPOINTS, endpoints({"ip": "10.0.0.1", "hostname": "h", "nodeName": "n"}, ports=[PORT]), []),
    (ENDPOINTS, {"subsets": [{}]}, ["~: Required value: must specify `addresses` or `notReadyAddresses`"]),
    (ENDPOINTS, endpoints({"ip": "x", "hostname": "A_", "nodeName": "N_"}), below("~.addresses[0]", '.ip: Invalid value: "x": <IP address>',
        '.hostname: Invalid value: "A_": <RFC 1123 label>', '.nodeName: Invalid value: "N_": <RFC 1123 subdomain>', '.ip: Invalid value: "x": must be a valid IP address')),
    (ENDPOINTS, endpoints({"ip": "10.0.0.1"}, ports=[{"port": 0}, {"name": "A_", "port": 1, "protocol": "X", "appProtocol": "a b"}]), ["~.ports[0].name: Required value",
        "~.ports[0].port: Invalid value: 0: <port>", "~.ports[0].protocol: Required value", '~.ports[1].name: Invalid value: "A_": <RFC 1123 label>',
        '~.ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"', '~.ports[1].appProtocol: Invalid value: "a b": <name part>']),
    (changed(rules.validate_endpoints), (endpoints({"ip": "010.0.0.1"}), endpoints({"ip": "010.0.0.1"})), []),
    (ENDPOINTS, {"metadata": {"name": "e"}, "subsets": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}, ["~: Required value: must specify `addresses` or `notReadyAddresses`"]),
])  # fmt: skip
