"""Every cause that persistent volume claims can have (pkg/apis/core/validation)."""

from rules import BAD, GONE, against, alone, at, gives, put, table, valid

from pilothouse.api.validate import persistentvolumeclaim as rules
from pilothouse.api.values.fields import Object

NEW, UPDATE, STATUS = rules.validate_claim, rules.validate_claim_update, rules.validate_claim_status_update
TEMPLATE = alone(rules.validate_claim_template)
SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "volumeMode": "Filesystem"}
BASE: Object = {"metadata": {"name": "c"}, "spec": SPEC, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
of, sized, status = at(BASE, "spec"), at(BASE, "spec.resources.requests.storage"), against(BASE, at(BASE, "status"))


def noted(name: str | None, **spec: object) -> Object:
    """A claim whose class stands in the annotation of old."""
    return put(of(**spec), {"metadata.annotations": {rules.BETA_CLASS: name} if name else {}})


test_causes = table([
    *((UPDATE, (put(of(volumeMode="Block"), {"status.phase": phase}), of(volumeAttributesClassName="b")), "spec: Forbidden: spec is immutable after creation except …", 'volumeMode="Block" fixed',
        "spec.volumeAttributesClassName- : update from non-nil value to nil is forbidden") for phase in ("Bound", "Pending")),
    (UPDATE, (of(volumeAttributesClassName=""), of(volumeAttributesClassName="b")), "spec.volumeAttributesClassName- : update from non-nil value to an empty string is forbidden"),
    *valid(NEW, BASE, of(dataSource=SNAPSHOT, dataSourceRef=SNAPSHOT)),
    (NEW, of(accessModes=["Odd"], selector=BAD), "spec.selector.matchExpressions[0].values[0] : <label value>", 'spec.accessModes="Odd" ReadOnlyMany|ReadWriteMany|ReadWriteOnce|ReadWriteOncePod'),
    (NEW, of(accessModes=["ReadWriteOncePod", "ReadOnlyMany"]), "spec.accessModes- : may not use ReadWriteOncePod with other access modes"),
    (NEW, of(resources={}), "spec.resources[storage]!"),
    (NEW, sized("0"), 'spec.resources[storage]="0" : must be greater than zero'),
    (NEW, of(storageClassName="S_", volumeMode="Odd", volumeAttributesClassName="A_"), "spec.storageClassName : <RFC 1123 subdomain>", "spec.volumeMode Block|Filesystem",
        "spec.volumeAttributesClassName : <RFC 1123 subdomain>"),
    (NEW, of(dataSource={"kind": "Odd"}), "spec.dataSource.name!", "spec.dataSource=\"Odd\" : must be 'PersistentVolumeClaim' when referencing the default apiGroup"),
    (NEW, of(dataSource={"apiGroup": "A_", "name": "n"}), "spec.dataSource.kind!", "spec.dataSource.apiGroup : <RFC 1123 subdomain>"),
    (NEW, of(dataSource=SNAPSHOT, dataSourceRef={**SNAPSHOT, "name": "t"}), "spec={} : must match dataSourceRef"),
    (NEW, of(dataSource=SNAPSHOT, dataSourceRef={**SNAPSHOT, "namespace": "N_"}), "spec.dataSourceRef.namespace : <RFC 1123 label>",
        "spec={} : may not be specified when dataSourceRef.namespace is specified"),
    *valid(UPDATE, (of(selector=BAD), of(selector=BAD)), (of(volumeName="v"), BASE), (sized("3Gi"), BASE), (noted(None, storageClassName="s"), noted("s")), (of(storageClassName="s"), BASE)),
    (UPDATE, (of(volumeAttributesClassName="a"), of(volumeAttributesClassName="b"))),
    (TEMPLATE, {"metadata": {"name": "n", "labels": {"a b": ""}}, "spec": BASE["spec"]}, '~.metadata.labels="a b" : <name part>', "~.metadata.name- : cannot be set"),
    (UPDATE, (sized("1Gi"), BASE), "spec.resources.requests.storage- : field can not be less than status.capacity"),
    (UPDATE, (noted("t"), noted("s")), 'metadata.annotations.volume.beta.kubernetes.io/storage-class="t" fixed'),
    (UPDATE, (BASE, of(volumeAttributesClassName="b")),
        'spec- : spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ -14,5 +14,5 @@\n  "VolumeMode": "Filesystem",\n  "DataSource": null,\n  "DataSourceRef": null,\n- "VolumeAttributesClassName": "b"\n+ "VolumeAttributesClassName": null\n }\n',
        "spec.volumeAttributesClassName- : update from non-nil value to nil is forbidden"),
    *valid(STATUS, status(), status(allocatedResourceStatuses={"storage": "NodeResizePending"}), status(allocatedResources={"storage": "1Gi"})),
    (STATUS, (put(BASE, {"spec.accessModes": GONE, "status.capacity": {"storage": "-1"}}), BASE), "Spec.accessModes!", "status.capacity[storage]=-1 : must be a valid resource quantity"),
    (STATUS, status(allocatedResourceStatuses={"cpu": "Odd", "a b": "NodeResizePending"}), 'status.allocatedResourceStatus="a b" : <name part>', 'status.allocatedResourceStatus="cpu" |storage',
        'status.allocatedResourceStatus="cpu" ControllerResizeInProgress|ControllerResizeInfeasible|NodeResizeInProgress|NodeResizeInfeasible|NodeResizePending'),
    (STATUS, status(allocatedResources={"storage": "-1", "cpu": "1"}), 'status.allocatedResources="cpu" |storage', "status.allocatedResources[storage]=-1 : must be a valid resource quantity"),
    (NEW, of(accessModes=[]), "spec.accessModes! : at least 1 access mode is required"),
])  # fmt: skip
test_warnings = gives(rules.claim_warnings, [
    (BASE, []),
    (noted("s", resources={"requests": {"storage": "1500m"}, "limits": {"storage": "2500m"}}),
        ['metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead',
        'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
        'spec.resources.limits[storage]: fractional byte value "2500m" is invalid, must be an integer']),
])  # fmt: skip
