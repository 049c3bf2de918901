"""Every cause that volumes of pods can have besides those of their sources (pkg/apis/core/validation)."""

from pods import pod
from rules import causes, table

from pilothouse.api.validate.pod.spec import validate_pod as NEW
from pilothouse.api.values.fields import Object


def test_names_of_claims_are_told_of_a_pod_whose_name_is_too_long() -> None:
    made = volumes({"name": "v", "ephemeral": {"volumeClaimTemplate": CLAIM}})
    made["metadata"]["name"] = "p" * 254
    found = causes(NEW, made)
    assert [one for one in found if one.startswith('spec.volumes[0].name: Invalid value: "v": PVC name "ppp')]
    made["metadata"]["name"] = "p" * 300_000
    assert not [one for one in causes(NEW, made) if "PVC name" in one]


def volumes(*listed: Object, **spec: object) -> Object:
    return pod(volumes=list(listed), **spec)


def of(**source: object) -> Object:
    return volumes({"name": "v", **source})


def projected(*sources: Object, **members: object) -> Object:
    return of(projected={"sources": list(sources), **members})


def bundle(**members: object) -> Object:
    return projected({"clusterTrustBundle": members})


def token(**members: object) -> Object:
    return {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600, **members}}


CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}
ISCSI = {"targetPortal": "p" * 64, "iqn": "iqn.2001-04.com.example:a", "initiatorName": "iqn.2001-04.com.example:a"}
FIELD = {"apiVersion": "v1", "fieldPath": "metadata.name"}
RESOURCE = {"containerName": "c", "resource": "limits.cpu"}

test_causes = table([
    (NEW, of(emptyDir={"sizeLimit": "1Gi"}), []),
    (NEW, volumes({"emptyDir": {}}), ["spec.volumes[0].name: Required value"]),
    (NEW, of(), ["spec.volumes[0]: Required value: must specify a volume type"]),
    (NEW, of(emptyDir={}, hostPath={"path": "/"}), ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"]),
    (NEW, volumes({"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "V_", "emptyDir": {}}), [
        'spec.volumes[1].name: Duplicate value: "v"',
        'spec.volumes[2].name: Invalid value: "V_": <RFC 1123 label>']),
    (NEW, of(emptyDir={"sizeLimit": "-1"}), ["spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"]),
    (NEW, volumes({"name": "v", "ephemeral": {"volumeClaimTemplate": CLAIM}}, {"name": "w", "persistentVolumeClaim": {"claimName": "p-v"}}),
        ['spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "p-v": must not reference a PVC that gets created for an ephemeral volume']),
    (NEW, of(ephemeral={}), ["spec.volumes[0].ephemeral.volumeClaimTemplate: Required value"]),
    (NEW, volumes({"name": "V_", "ephemeral": {"volumeClaimTemplate": CLAIM}}), [
        'spec.volumes[0].name: Invalid value: "V_": PVC name "p-V_": <RFC 1123 subdomain>',
        'spec.volumes[0].name: Invalid value: "V_": <RFC 1123 label>']),
    (NEW, of(iscsi=ISCSI), ['spec.volumes[0].name: Invalid value: "v": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.']),
    (NEW, of(image={"pullPolicy": "Odd"}), [
        "spec.volumes[0].image.reference: Required value",
        'spec.volumes[0].image.pullPolicy: Unsupported value: "Odd": supported values: "Always", "IfNotPresent", "Never"']),
    (NEW, of(image={"reference": "r"}), ["spec.volumes[0].image.pullPolicy: Required value"]),
    (NEW, of(secret={"secretName": "s", "defaultMode": 0o1000, "items": [{"key": "k", "path": "p", "mode": -1}]}), [
        "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        "spec.volumes[0].secret.items[0].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive"]),
    (NEW, of(configMap={"items": [{"path": "../p"}]}), [
        "spec.volumes[0].configMap.name: Required value",
        "spec.volumes[0].configMap.items[0].key: Required value",
        "spec.volumes[0].configMap.items[0].path: Invalid value: \"../p\": must not contain '..'"]),
    (NEW, of(downwardAPI={"items": [{"path": "p", "fieldRef": FIELD}, {"path": "q", "resourceFieldRef": RESOURCE}]}), []),
    (NEW, of(downwardAPI={"items": [{"fieldRef": FIELD, "resourceFieldRef": RESOURCE}, {"path": "q"}]}), [
        "spec.volumes[0].downwardAPI.path: Required value",
        'spec.volumes[0].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously',
        "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"]),
    (NEW, of(downwardAPI={"items": [{"path": "q", "resourceFieldRef": {"resource": "limits.cpu"}}]}), ["spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value"]),
    (NEW, projected({"secret": {"name": "s", "items": [{"key": "k", "path": "a"}]}}, {"configMap": {"name": "m", "items": [{"key": "k", "path": "a"}]}}),
        ['spec.volumes[0].projected: Invalid value: "m": conflicting duplicate paths']),
    (NEW, projected({"secret": {}}, {"downwardAPI": {"items": [{"path": "a", "fieldRef": FIELD}, {"path": "a", "fieldRef": FIELD}]}}), [
        "spec.volumes[0].projected.sources[0].secret.name: Required value",
        'spec.volumes[0].projected: Invalid value: "a": conflicting duplicate paths']),
    (NEW, projected({"secret": {"name": "s"}, "configMap": {"name": "m"}}, defaultMode=0o1000), [
        "spec.volumes[0].projected.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        "spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source"]),
    (NEW, projected(token()), ["spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set"]),
    (NEW, projected(token(path="", expirationSeconds=599)), [
        "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
        "spec.volumes[0].projected.path: Required value",
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set"]),
    (NEW, projected(token(path="../t", expirationSeconds=2**32 + 1)), [
        "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
        "spec.volumes[0].projected.path: Invalid value: \"../t\": must not contain '..'",
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set"]),
    (NEW, bundle(name="b", path="p"), []),
    (NEW, bundle(name="b", signerName="a.b/c", path="p", labelSelector={"matchLabels": {"b": "c", "a": "d"}}),
        ['spec.volumes[0].projected.sources[0].clusterTrustBundle: Invalid value: {"Name":"b","SignerName":"a.b/c","LabelSelector":{"matchLabels":{"a":"d","b":"c"}},"Optional":null,"Path":"p"}: only one of name and signerName may be used']),
    (NEW, bundle(name="", path="p"), [
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.name: Required value: must be a valid object name",
        'spec.volumes[0].projected.sources[0].clusterTrustBundle.name: Invalid value: "": not a valid clustertrustbundlename: <RFC 1123 subdomain>']),
    (NEW, bundle(name="B_", labelSelector={}, path="p"), [
        'spec.volumes[0].projected.sources[0].clusterTrustBundle.name: Invalid value: "B_": not a valid clustertrustbundlename: <RFC 1123 subdomain>',
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.labelSelector: Invalid value: {}: labelSelector must be unset if name is specified"]),
    (NEW, bundle(name="a.b:c:d", path="p"), []),
    (NEW, bundle(name="a.b:c:D_", path="p"), ['spec.volumes[0].projected.sources[0].clusterTrustBundle.name: Invalid value: "a.b:c:D_": not a valid clustertrustbundlename: <RFC 1123 subdomain>']),
    (NEW, bundle(name=":x:y", path="p"), []),
    (NEW, bundle(signerName="a.b/c", labelSelector={"matchLabels": {"a b": "c"}}, path="../p"), [
        'spec.volumes[0].projected.sources[0].clusterTrustBundle.labelSelector.matchLabels: Invalid value: "a b": <name part>',
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.path: Invalid value: \"../p\": must not contain '..'"]),
    (NEW, bundle(signerName="", path="p"), [
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Required value: must be a valid signer name",
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Required value"]),
    (NEW, bundle(signerName="a", path="p"),
        ["spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Invalid value: \"a\": must be a fully qualified domain and path of the form 'example.com/signer-name'"]),
    (NEW, bundle(signerName="A_/c", path="p"), ['spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Invalid value: "A_": validating label "A_": <RFC 1123 subdomain>']),
    (NEW, bundle(signerName="a/C_", path="p"), [
        'spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Invalid value: "a": should be a domain with at least two segments separated by dots',
        'spec.volumes[0].projected.sources[0].clusterTrustBundle.signerName: Invalid value: "C_": validating label "C_": <RFC 1123 subdomain>']),
    (NEW, bundle(), [
        "spec.volumes[0].projected.sources[0].clusterTrustBundle: Required value: either name or signerName must be specified",
        "spec.volumes[0].projected.sources[0].clusterTrustBundle.path: Required value"]),
])  # fmt: skip
