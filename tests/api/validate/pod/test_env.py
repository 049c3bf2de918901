"""Every cause that variables of containers can have (pkg/apis/core/validation)."""

from pods import container
from rules import at, put, table, within

from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Object

NEW = within("spec.containers[0]", validate_pod)


of = at(container(env=[{"name": "a"}]), "spec.containers.0.env.0.valueFrom", {})


def field(path: str, version: str = "v1") -> Object:
    return of(fieldRef={"apiVersion": version, "fieldPath": path})


def resource(name: str, divisor: str = "1") -> Object:
    return of(resourceFieldRef={"resource": name, "divisor": divisor})


VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/w"}}]
file = at(put(of(), {"spec.volumes": VOLUMES}), "spec.containers.0.env.0.valueFrom.fileKeyRef", {})
test_causes = table([
    (NEW, container(env=[{"name": "A.b", "value": "c"}]), []),
    (NEW, container(env=[{"name": ""}, {"name": "a=b"}]), ["~.env[0].name: Required value", '~.env[1].name: Invalid value: "a=b": <variable>']),
    (NEW, of(), ['~.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`']),
    (NEW, container(env=[{"name": "a", "value": "b", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]),
        ['~.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty']),
    (NEW, of(configMapKeyRef={"name": "m", "key": "k"}, secretKeyRef={"name": "s", "key": "k"}), ['~.env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time']),
    (NEW, of(configMapKeyRef={"name": "M_"}), ['~.env[0].valueFrom.configMapKeyRef.name: Invalid value: "M_": <RFC 1123 subdomain>', "~.env[0].valueFrom.configMapKeyRef.key: Required value"]),
    (NEW, of(secretKeyRef={"name": "s", "key": "a b"}), ['~.env[0].valueFrom.secretKeyRef.key: Invalid value: "a b": <config key>']),
    (NEW, field("metadata.name", ""), ["~.env[0].valueFrom.fieldRef.apiVersion: Required value"]),
    (NEW, field(""), ["~.env[0].valueFrom.fieldRef.fieldPath: Required value"]),
    (NEW, field("metadata.name", "v2"), ['~.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2']),
    (NEW, field("metadata.labels['a']"), []),
    (NEW, field("metadata.annotations['A b']"), ['~.env[0].valueFrom.fieldRef: Invalid value: "a b": <name part>']),
    (NEW, field("metadata.name['a']"),
        ["~.env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.name['a']\": error converting fieldPath: field label does not support subscript: metadata.name['a']"]),
    (NEW, field("metadata.odd"), ['~.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.odd": error converting fieldPath: field label not supported: metadata.odd']),
    (NEW, field("metadata.labels"),
        ['~.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"']),
    (NEW, field("spec.host"), []),
    (NEW, resource("limits.cpu", "1m"), []),
    (NEW, resource(""), ["~.env[0].valueFrom.resourceFieldRef.resource: Required value"]),
    (NEW, resource("limits.odd"),
        ['~.env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.odd": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"']),
    (NEW, resource("requests.cpu", "2"), ['~.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource']),
    (NEW, resource("limits.memory", "1k"), []),
    (NEW, resource("limits.memory", "3"),
        ['~.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource']),
    (NEW, resource("requests.ephemeral-storage", "3"),
        ['~.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.ephemeral-storage": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource']),
    (NEW, resource("limits.hugepages-2Mi", "3"),
        ['~.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.hugepages-2Mi": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the hugepages resource']),
    (NEW, file(volumeName="v", path="p", key="k"), []),
    (NEW, file(), ["~.env[0].valueFrom.fileKeyRef.volumeName: Required value", "~.env[0].valueFrom.fileKeyRef.path: Required value", "~.env[0].valueFrom.fileKeyRef.key: Required value"]),
    (NEW, file(volumeName="w", path="../p", key="a=b"), ["~.env[0].valueFrom.fileKeyRef.path: Invalid value: \"../p\": must not contain '..'",
        '~.env[0].valueFrom.fileKeyRef.key: Invalid value: "a=b": <variable>', '~.env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "w": referenced volume must be of type emptyDir']),
    (NEW, file(volumeName="x", path="p", key="k"), ['~.env[0].valueFrom.fileKeyRef.volumeName: Not found: "x"']),
    (NEW, container(envFrom=[{"prefix": "P_", "configMapRef": {"name": "m"}}]), []),
    (NEW, container(envFrom=[{"prefix": "=", "secretRef": {}}]), ['~.envFrom[0].prefix: Invalid value: "=": <variable>', "~.envFrom[0].secretRef.name: Required value"]),
    (NEW, container(envFrom=[{"configMapRef": {"name": "M_"}, "secretRef": {"name": "s"}}, {}]), ['~.envFrom[0].configMapRef.name: Invalid value: "M_": <RFC 1123 subdomain>',
        '~.envFrom: Invalid value: "": may not have more than one field specified at a time', '~.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']),
])  # fmt: skip
