"""Every cause that persistent volume claims can have (pkg/apis/core/validation)."""

import pytest
from rules import GONE, at, causes, gives, put, table

from pilothouse.api.validate import persistentvolumeclaim as rules
from pilothouse.api.values.fields import Errors, Object

NEW, UPDATE, STATUS = rules.validate_claim, rules.validate_claim_update, rules.validate_claim_status_update
SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "volumeMode": "Filesystem"}
BASE: Object = {"metadata": {"name": "c"}, "spec": SPEC, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}

of = at(BASE, "spec")


def sized(storage: str) -> Object:
    return put(BASE, {"spec.resources.requests.storage": storage})


def noted(name: str | None, **spec: object) -> Object:
    """A claim whose class stands in the annotation of old."""
    return put(of(**spec), {"metadata.annotations": {rules.BETA_CLASS: name} if name else {}})


def status(**status: object) -> tuple[Object, Object]:
    return put(BASE, {f"status.{name}": value for name, value in status.items()}), BASE


def template(obj: Object, errs: Errors) -> None:
    rules.validate_claim_template(obj, "t", errs)


test_causes = table([
    (NEW, BASE, []),
    (NEW, of(accessModes=["Odd"], selector=BAD), ['spec.selector.matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        'spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"']),
    (NEW, of(accessModes=["ReadWriteOncePod", "ReadOnlyMany"]), ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"]),
    (NEW, of(resources={}), ["spec.resources[storage]: Required value"]),
    (NEW, sized("0"), ['spec.resources[storage]: Invalid value: "0": must be greater than zero']),
    (NEW, of(storageClassName="S_", volumeMode="Odd", volumeAttributesClassName="A_"), ['spec.storageClassName: Invalid value: "S_": <RFC 1123 subdomain>',
        'spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"', 'spec.volumeAttributesClassName: Invalid value: "A_": <RFC 1123 subdomain>']),
    (NEW, of(dataSource=SNAPSHOT, dataSourceRef=SNAPSHOT), []),
    (NEW, of(dataSource={"kind": "Odd"}), ["spec.dataSource.name: Required value", "spec.dataSource: Invalid value: \"Odd\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"]),
    (NEW, of(dataSource={"apiGroup": "A_", "name": "n"}), ["spec.dataSource.kind: Required value", 'spec.dataSource.apiGroup: Invalid value: "A_": <RFC 1123 subdomain>']),
    (NEW, of(dataSource=SNAPSHOT, dataSourceRef={**SNAPSHOT, "name": "t"}), ["spec: Invalid value: {}: must match dataSourceRef"]),
    (NEW, of(dataSource=SNAPSHOT, dataSourceRef={**SNAPSHOT, "namespace": "N_"}), ['spec.dataSourceRef.namespace: Invalid value: "N_": <RFC 1123 label>',
        "spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified"]),
    (UPDATE, (of(selector=BAD), of(selector=BAD)), []),
    (template, {"metadata": {"name": "n", "labels": {"a b": ""}}, "spec": BASE["spec"]}, ['t.metadata.labels: Invalid value: "a b": <name part>', "t.metadata.name: Forbidden: cannot be set"]),
    (UPDATE, (of(volumeName="v"), BASE), []),
    (UPDATE, (sized("3Gi"), BASE), []),
    (UPDATE, (sized("1Gi"), BASE), ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]),
    (UPDATE, (noted(None, storageClassName="s"), noted("s")), []),
    (UPDATE, (noted("t"), noted("s")), ['metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: "t": field is immutable']),
    (UPDATE, (of(storageClassName="s"), BASE), []),
    (UPDATE, (of(volumeAttributesClassName="a"), of(volumeAttributesClassName="b")), []),
    (UPDATE, (BASE, of(volumeAttributesClassName="b")),
        ['spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ -14,5 +14,5 @@\n  "VolumeMode": "Filesystem",\n  "DataSource": null,\n  "DataSourceRef": null,\n- "VolumeAttributesClassName": "b"\n+ "VolumeAttributesClassName": null\n }\n',
        "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"]),
    (STATUS, status(), []),
    (STATUS, (put(BASE, {"spec.accessModes": GONE, "status.capacity": {"storage": "-1"}}), BASE), ["Spec.accessModes: Required value",
        "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity"]),
    (STATUS, status(allocatedResourceStatuses={"storage": "NodeResizePending"}), []),
    (STATUS, status(allocatedResourceStatuses={"cpu": "Odd", "a b": "NodeResizePending"}), ['status.allocatedResourceStatus: Invalid value: "a b": <name part>',
        'status.allocatedResourceStatus: Unsupported value: "cpu": supported values: "storage"',
        'status.allocatedResourceStatus: Unsupported value: "cpu": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"']),
    (STATUS, status(allocatedResources={"storage": "1Gi"}), []),
    (STATUS, status(allocatedResources={"storage": "-1", "cpu": "1"}), ['status.allocatedResources: Unsupported value: "cpu": supported values: "storage"',
        "status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity"]),
    (NEW, of(accessModes=[]), ["spec.accessModes: Required value: at least 1 access mode is required"]),
])  # fmt: skip

test_warnings = gives(rules.claim_warnings, [
    (BASE, []),
    (noted("s", resources={"requests": {"storage": "1500m"}, "limits": {"storage": "2500m"}}),
        ['metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead',
        'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
        'spec.resources.limits[storage]: fractional byte value "2500m" is invalid, must be an integer']),
])  # fmt: skip


@pytest.mark.parametrize("changed", [of(volumeMode="Block"), of(volumeAttributesClassName=""), put(of(volumeMode="Block"), {"status.phase": "Pending"})])
def test_a_spec_is_fixed(changed: Object) -> None:
    found = causes(UPDATE, (changed, of(volumeAttributesClassName="b")))
    assert any("immutable" in cause.partition("\n")[0] or "forbidden" in cause.partition("\n")[0] for cause in found)
