"""Every cause that variables of containers can have (pkg/apis/core/validation)."""

from pods import container
from rules import table

from pilothouse.api.validate.pod.spec import validate_pod as NEW
from pilothouse.api.values.fields import Object


def of(**source: object) -> Object:
    return container(env=[{"name": "a", "valueFrom": source}])


def field(path: str, version: str = "v1") -> Object:
    return of(fieldRef={"apiVersion": version, "fieldPath": path})


def resource(name: str, divisor: str = "1") -> Object:
    return of(resourceFieldRef={"resource": name, "divisor": divisor})


def file(**ref: object) -> Object:
    volume = {"name": "v", "emptyDir": {}}
    other = {"name": "w", "hostPath": {"path": "/w"}}
    return {**of(fileKeyRef=ref), "spec": {**of(fileKeyRef=ref)["spec"], "volumes": [volume, other]}}


test_causes = table([
    (NEW, container(env=[{"name": "A.b", "value": "c"}]), []),
    (NEW, container(env=[{"name": ""}, {"name": "a=b"}]), [
        "spec.containers[0].env[0].name: Required value",
        "spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='"]),
    (NEW, of(), ['spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`']),
    (NEW, container(env=[{"name": "a", "value": "b", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]),
        ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty']),
    (NEW, of(configMapKeyRef={"name": "m", "key": "k"}, secretKeyRef={"name": "s", "key": "k"}),
        ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time']),
    (NEW, of(configMapKeyRef={"name": "M_"}), [
        'spec.containers[0].env[0].valueFrom.configMapKeyRef.name: Invalid value: "M_": <RFC 1123 subdomain>',
        "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value"]),
    (NEW, of(secretKeyRef={"name": "s", "key": "a b"}),
        ["spec.containers[0].env[0].valueFrom.secretKeyRef.key: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'"]),
    (NEW, field("metadata.name", ""), ["spec.containers[0].env[0].valueFrom.fieldRef.apiVersion: Required value"]),
    (NEW, field(""), ["spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Required value"]),
    (NEW, field("metadata.name", "v2"), ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2']),
    (NEW, field("metadata.labels['a']"), []),
    (NEW, field("metadata.annotations['A b']"), ['spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "a b": <name part>']),
    (NEW, field("metadata.name['a']"),
        ["spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.name['a']\": error converting fieldPath: field label does not support subscript: metadata.name['a']"]),
    (NEW, field("metadata.odd"), ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.odd": error converting fieldPath: field label not supported: metadata.odd']),
    (NEW, field("metadata.labels"),
        ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"']),
    (NEW, field("spec.host"), []),
    (NEW, resource("limits.cpu", "1m"), []),
    (NEW, resource(""), ["spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Required value"]),
    (NEW, resource("limits.odd"),
        ['spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.odd": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"']),
    (NEW, resource("requests.cpu", "2"),
        ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource']),
    (NEW, resource("limits.memory", "1k"), []),
    (NEW, resource("limits.memory", "3"),
        ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource']),
    (NEW, resource("requests.ephemeral-storage", "3"),
        ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.ephemeral-storage": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource']),
    (NEW, resource("limits.hugepages-2Mi", "3"),
        ['spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.hugepages-2Mi": only divisor\'s values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the hugepages resource']),
    (NEW, file(volumeName="v", path="p", key="k"), []),
    (NEW, file(), [
        "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Required value",
        "spec.containers[0].env[0].valueFrom.fileKeyRef.path: Required value",
        "spec.containers[0].env[0].valueFrom.fileKeyRef.key: Required value"]),
    (NEW, file(volumeName="w", path="../p", key="a=b"), [
        "spec.containers[0].env[0].valueFrom.fileKeyRef.path: Invalid value: \"../p\": must not contain '..'",
        "spec.containers[0].env[0].valueFrom.fileKeyRef.key: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "w": referenced volume must be of type emptyDir']),
    (NEW, file(volumeName="x", path="p", key="k"), ['spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: "x"']),
    (NEW, container(envFrom=[{"prefix": "P_", "configMapRef": {"name": "m"}}]), []),
    (NEW, container(envFrom=[{"prefix": "=", "secretRef": {}}]), [
        "spec.containers[0].envFrom[0].prefix: Invalid value: \"=\": a valid environment variable name must consist only of printable ASCII characters other than '='",
        "spec.containers[0].envFrom[0].secretRef.name: Required value"]),
    (NEW, container(envFrom=[{"configMapRef": {"name": "M_"}, "secretRef": {"name": "s"}}, {}]), [
        'spec.containers[0].envFrom[0].configMapRef.name: Invalid value: "M_": <RFC 1123 subdomain>',
        'spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time',
        'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`']),
])  # fmt: skip
