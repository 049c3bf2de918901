"""Every cause that variables of containers can have (pkg/apis/core/validation)."""

from pods import container
from rules import at, below, put, table, valid, within

from pilothouse.api.validate.pod.spec import validate_pod

NEW = within("spec.containers[0]", validate_pod)
of = at(container(env=[{"name": "a"}]), "spec.containers.0.env.0.valueFrom", {})
field = at(of(fieldRef={"apiVersion": "v1"}), "spec.containers.0.env.0.valueFrom.fieldRef.fieldPath")
resource = at(of(), "spec.containers.0.env.0.valueFrom.resourceFieldRef", {"divisor": "1"})
VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/w"}}]
file = at(put(of(), {"spec.volumes": VOLUMES}), "spec.containers.0.env.0.valueFrom.fileKeyRef", {})
test_causes = table([
    *valid(NEW, container(env=[{"name": "A.b", "value": "c"}]), field("metadata.labels['a']"), field("spec.host"), resource(resource="limits.cpu", divisor="1m")),
    *valid(NEW, resource(resource="limits.memory", divisor="1k"), file(volumeName="v", path="p", key="k"), container(envFrom=[{"prefix": "P_", "configMapRef": {"name": "m"}}])),
    (NEW, container(env=[{"name": ""}, {"name": "a=b"}]), "~.env[0].name!", "~.env[1].name : <variable>"),
    (NEW, of(), '~.env[0].valueFrom="" : must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'),
    (NEW, container(env=[{"name": "a", "value": "b", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]),
        '~.env[0].valueFrom="" : may not be specified when `value` is not empty'),
    (NEW, of(configMapKeyRef={"name": "m", "key": "k"}, secretKeyRef={"name": "s", "key": "k"}), '~.env[0].valueFrom="" : may not have more than one field specified at a time'),
    (NEW, of(configMapKeyRef={"name": "M_"}), *below("~.env[0].valueFrom.configMapKeyRef", ".name : <RFC 1123 subdomain>", ".key!")),
    (NEW, of(secretKeyRef={"name": "s", "key": "a b"}), "~.env[0].valueFrom.secretKeyRef.key : <config key>"),
    (NEW, of(fieldRef={"apiVersion": "", "fieldPath": "metadata.name"}), "~.env[0].valueFrom.fieldRef.apiVersion!"),
    (NEW, field(""), "~.env[0].valueFrom.fieldRef.fieldPath!"),
    (NEW, of(fieldRef={"apiVersion": "v2", "fieldPath": "metadata.name"}), "~.env[0].valueFrom.fieldRef.fieldPath : error converting fieldPath: unsupported pod version: v2"),
    (NEW, field("metadata.annotations['A b']"), '~.env[0].valueFrom.fieldRef="a b" : <name part>'),
    (NEW, field("metadata.name['a']"), "~.env[0].valueFrom.fieldRef.fieldPath : error converting fieldPath: field label does not support subscript: metadata.name['a']"),
    (NEW, field("metadata.odd"), "~.env[0].valueFrom.fieldRef.fieldPath : error converting fieldPath: field label not supported: metadata.odd"),
    (NEW, field("metadata.labels"),
        "~.env[0].valueFrom.fieldRef.fieldPath metadata.name|metadata.namespace|metadata.uid|spec.nodeName|spec.serviceAccountName|status.hostIP|status.hostIPs|status.podIP|status.podIPs"),
    (NEW, resource(resource=""), "~.env[0].valueFrom.resourceFieldRef.resource!"),
    (NEW, resource(resource="limits.odd"), "~.env[0].valueFrom.resourceFieldRef.resource limits.cpu|limits.ephemeral-storage|limits.memory|requests.cpu|requests.ephemeral-storage|requests.memory"),
    (NEW, resource(resource="requests.cpu", divisor="2"), "~.env[0].valueFrom.resourceFieldRef.divisor=\"requests.cpu\" : only divisor's values 1m and 1 are supported with the cpu resource"),
    (NEW, resource(resource="limits.memory", divisor="3"),
        "~.env[0].valueFrom.resourceFieldRef.divisor=\"limits.memory\" : only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource"),
    (NEW, resource(resource="requests.ephemeral-storage", divisor="3"),
        "~.env[0].valueFrom.resourceFieldRef.divisor=\"requests.ephemeral-storage\" : only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource"),
    (NEW, resource(resource="limits.hugepages-2Mi", divisor="3"),
        "~.env[0].valueFrom.resourceFieldRef.divisor=\"limits.hugepages-2Mi\" : only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the hugepages resource"),
    (NEW, file(), "~.env[0].valueFrom.fileKeyRef.volumeName,path,key!"),
    (NEW, file(volumeName="w", path="../p", key="a=b"), *below("~.env[0].valueFrom.fileKeyRef", ".path : must not contain '..'", ".key : <variable>",
        ".volumeName : referenced volume must be of type emptyDir")),
    (NEW, file(volumeName="x", path="p", key="k"), '~.env[0].valueFrom.fileKeyRef.volumeName: Not found: "x"'),
    (NEW, container(envFrom=[{"prefix": "=", "secretRef": {}}]), "~.envFrom[0].prefix : <variable>", "~.envFrom[0].secretRef.name!"),
    (NEW, container(envFrom=[{"configMapRef": {"name": "M_"}, "secretRef": {"name": "s"}}, {}]), "~.envFrom[0].configMapRef.name : <RFC 1123 subdomain>",
        '~.envFrom="" : may not have more than one field specified at a time', '~.envFrom="" : must specify one of: `configMapRef` or `secretRef`'),
])  # fmt: skip
