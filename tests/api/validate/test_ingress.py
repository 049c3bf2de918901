"""Every cause that ingresses and their classes can have (pkg/apis/networking/validation)."""

from rules import at, below, each, gives, put, table, valid, within

from pilothouse.api.validate import ingress as rules

INGRESS, INGRESS_UPDATE, STATUS = within("spec.rules[0].http.paths[0]", rules.validate_ingress), rules.validate_ingress_update, rules.validate_ingress_status
CLASS, CLASS_UPDATE = rules.validate_ingress_class, rules.validate_ingress_class_update
SERVICE = {"name": "s", "port": {"number": 80}}
PATH = {"path": "/", "pathType": "Prefix", "backend": {"service": SERVICE}}
BASE = {"metadata": {}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [PATH]}}]}}
IC = {"spec": {"controller": "example.com/c", "parameters": {"kind": "K", "name": "n", "scope": "Cluster"}}}
path = at(BASE, "spec.rules.0.http.paths[]", PATH)
backend = at(BASE, "spec.defaultBackend", {})
service = at(BASE, "spec.defaultBackend.service", SERVICE)
parameters = at(IC, "spec.parameters")
balanced = each({}, "status.loadBalancer.ingress")
WILD = put(path(path="x"), {"spec.rules.0.host": "*.a.b"})

test_causes = table([
    *valid(INGRESS, BASE, put(BASE, {"spec.rules.0.host": "*.a.b"}), put(BASE, {"spec.rules.0.http": None})),
    (INGRESS, put(BASE, {"spec.rules.0.host": "10.0.0.1"}), "spec.rules[0].host : must be a DNS name, not an IP address"),
    (INGRESS, put(BASE, {"spec.rules.0.host": "*a"}),
        "spec.rules[0].host : a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"),
    (INGRESS, put(BASE, {"spec.rules.0.http": {"paths": []}}), "spec.rules[0].http.paths!"),
    (INGRESS, put(BASE, {"spec.ingressClassName": "I_"}), "spec.ingressClassName : <RFC 1123 subdomain>"),
    (INGRESS, put(BASE, {"spec.tls": [{"hosts": ["a.b", "A_"], "secretName": "S_"}]}), "spec.tls[0].hosts[1],secretName : <RFC 1123 subdomain>"),
    *valid(INGRESS_UPDATE, (put(BASE, {"spec.tls": [{"secretName": "S_"}]}), put(BASE, {"spec.tls": [{"secretName": "T_"}]})), (WILD, WILD)),
    (INGRESS_UPDATE, (path(path="x"), WILD), "spec.rules[0].http.paths[0].path : must be an absolute path"),
    (INGRESS, put(BASE, {"metadata.annotations": {rules.CLASS_ANNOTATION: "a"}, "spec.ingressClassName": "b"}),
        'annotations.kubernetes.io/ingress.class="a" : must match `ingressClassName` when both are specified'),
    (INGRESS, path(pathType=None), "~.pathType! : pathType must be specified"),
    (INGRESS, path(pathType="Exact", path="/a/./b/%2f/.."), "~.path : must not contain '/./'", "~.path : must not contain '%2f'", "~.path : cannot end with '/..'"),
    (INGRESS, path(pathType="ImplementationSpecific", path="a"), "~.path : must be an absolute path"),
    (INGRESS, path(pathType="Odd", path="a"), "~.pathType Exact|ImplementationSpecific|Prefix"),
    (INGRESS, backend(service=SERVICE, resource={"kind": "K", "name": "n"}), 'spec.defaultBackend="" : cannot set both resource and service backends'),
    (INGRESS, backend(resource={"apiGroup": "A_", "kind": "a/b"}), *below("spec.defaultBackend.resource", ".apiGroup : <RFC 1123 subdomain>", ".kind : may not contain '/'", ".name!")),
    (INGRESS, service(name=""), "spec.defaultBackend.service.name!"),
    (INGRESS, service(name="S_"), "spec.defaultBackend.service.name : <RFC 1123 label>"),
    (INGRESS, service(port={"name": "http", "number": 80}), 'spec.defaultBackend="" : cannot set both port name & port number'),
    (INGRESS, service(port={"name": "Http_"}), "spec.defaultBackend.service.port.name : must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
    (INGRESS, service(port={"number": 70_000}), "spec.defaultBackend.service.port.number : <port>"),
    (STATUS, (balanced({"ip": "10.0.0.1"}, {"hostname": "a.b"}), {})),
    (STATUS, (balanced({"ip": "x", "hostname": "A_"}, {"hostname": "10.0.0.1"}), {}), *below("status.loadBalancer.ingress", "[0].ip : <IP address>", "[0].hostname : <RFC 1123 subdomain>",
        "[1].hostname : must be a DNS name, not an IP address")),
    (CLASS, IC),
    (CLASS, put(IC, {"spec.controller": "c" * 251}), "spec.controller max:250", 'spec.controller : must be a domain-prefixed path (such as "acme.io/foo")'),
    (CLASS, parameters(apiGroup="A_", kind="", name="a/b", scope=None), *below("spec.parameters", ".apiGroup : <RFC 1123 subdomain>", ".kind!", ".name : may not contain '/'", ".scope!")),
    (CLASS, parameters(scope="Odd"), "spec.parameters.scope Cluster|Namespace"),
    (CLASS, parameters(scope="Namespace"), "spec.parameters.namespace! : `parameters.scope` is set to 'Namespace'"),
    (CLASS, parameters(scope="Namespace", namespace="N_"), "spec.parameters.namespace : <RFC 1123 label>"),
    (CLASS, parameters(namespace="n"), "spec.parameters.namespace- : `parameters.scope` is set to 'Cluster'"),
    (CLASS_UPDATE, (put(IC, {"spec.controller": "example.com/d"}), IC), "spec.controller fixed"),
    (INGRESS, path(path="x"), "~.path : must be an absolute path"),
    (INGRESS, path(path="/a//b"), "~.path : must not contain '//'"),
    (INGRESS, path(backend={}), '~.backend="" : resource or service backend is required'),
    (INGRESS, path(backend={"service": {"name": "s"}}), "~.backend! : port name or number is required"),
    (INGRESS, {"spec": {}}, "spec=null : either `defaultBackend` or `rules` must be specified"),
])  # fmt: skip

test_warnings = gives(
    rules.ingress_status_warnings, [(balanced({"hostname": "a"}, {"ip": "010.0.0.1"}), ['status.loadBalancer.ingress[1].ip: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"'])]
)
