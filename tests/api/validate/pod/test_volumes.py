"""Every cause that volumes of pods can have besides those of their sources (pkg/apis/core/validation)."""

from pods import POD
from rules import at, below, causes, each, table, valid, within

from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Object

NEW = within("spec.volumes[0]", validate_pod)


def test_names_of_claims_are_told_of_a_pod_whose_name_is_too_long() -> None:
    made = volumes({"name": "v", "ephemeral": {"volumeClaimTemplate": CLAIM}})
    made["metadata"]["name"] = "p" * 254
    found = causes(NEW, made)
    assert [one for one in found if one.startswith('~.name: Invalid value: "v": PVC name "ppp')]
    made["metadata"]["name"] = "p" * 300_000
    assert not [one for one in causes(NEW, made) if "PVC name" in one]


volumes, of = each(POD, "spec.volumes"), at(POD, "spec.volumes[]", {"name": "v"})


def projected(*sources: Object, **members: object) -> Object:
    return of(projected={"sources": list(sources), **members})


token = at({}, "serviceAccountToken", {"path": "t", "expirationSeconds": 3600})
bundle = at(projected({}), "spec.volumes.0.projected.sources.0.clusterTrustBundle", {})
CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}
ISCSI = {"targetPortal": "p" * 64, "iqn": "iqn.2001-04.com.example:a", "initiatorName": "iqn.2001-04.com.example:a"}
FIELD = {"apiVersion": "v1", "fieldPath": "metadata.name"}
RESOURCE = {"containerName": "c", "resource": "limits.cpu"}

test_causes = table([
    *valid(NEW, of(emptyDir={"sizeLimit": "1Gi"}), of(downwardAPI={"items": [{"path": "p", "fieldRef": FIELD}, {"path": "q", "resourceFieldRef": RESOURCE}]}), bundle(name="b", path="p")),
    *valid(NEW, bundle(name="a.b:c:d", path="p"), bundle(name=":x:y", path="p")),
    (NEW, volumes({"emptyDir": {}}), "~.name!"),
    (NEW, of(), "~! : must specify a volume type"),
    (NEW, of(emptyDir={}, hostPath={"path": "/"}), "~.hostPath- : may not specify more than 1 volume type"),
    (NEW, volumes({"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "V_", "emptyDir": {}}), "spec.volumes[1].name unique", "spec.volumes[2].name : <RFC 1123 label>"),
    (NEW, of(emptyDir={"sizeLimit": "-1"}), "~.emptyDir.sizeLimit- : SizeLimit field must be a valid resource quantity"),
    (NEW, volumes({"name": "v", "ephemeral": {"volumeClaimTemplate": CLAIM}}, {"name": "w", "persistentVolumeClaim": {"claimName": "p-v"}}),
        "spec.volumes[1].persistentVolumeClaim.claimName : must not reference a PVC that gets created for an ephemeral volume"),
    (NEW, of(ephemeral={}), "~.ephemeral.volumeClaimTemplate!"),
    (NEW, volumes({"name": "V_", "ephemeral": {"volumeClaimTemplate": CLAIM}}), '~.name : PVC name "p-V_": <RFC 1123 subdomain>', "~.name : <RFC 1123 label>"),
    (NEW, of(iscsi=ISCSI), "~.name : Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."),
    (NEW, of(image={"pullPolicy": "Odd"}), "~.image.reference!", "~.image.pullPolicy Always|IfNotPresent|Never"),
    (NEW, of(image={"reference": "r"}), "~.image.pullPolicy!"),
    (NEW, of(secret={"secretName": "s", "defaultMode": 0o1000, "items": [{"key": "k", "path": "p", "mode": -1}]}), "~.secret.defaultMode : must be a number between 0 and 0777 (octal), both inclusive",
        "~.secret.items[0].mode : must be a number between 0 and 0777 (octal), both inclusive"),
    (NEW, of(configMap={"items": [{"path": "../p"}]}), "~.configMap.name!", "~.configMap.items[0].key!", "~.configMap.items[0].path : must not contain '..'"),
    (NEW, of(downwardAPI={"items": [{"fieldRef": FIELD, "resourceFieldRef": RESOURCE}, {"path": "q"}]}), "~.downwardAPI.path!",
        '~.downwardAPI="resource" : fieldRef and resourceFieldRef can not be specified simultaneously', "~.downwardAPI! : one of fieldRef and resourceFieldRef is required"),
    (NEW, of(downwardAPI={"items": [{"path": "q", "resourceFieldRef": {"resource": "limits.cpu"}}]}), "~.downwardAPI.resourceFieldRef.containerName!"),
    (NEW, projected({"secret": {"name": "s", "items": [{"key": "k", "path": "a"}]}}, {"configMap": {"name": "m", "items": [{"key": "k", "path": "a"}]}}),
        '~.projected="m" : conflicting duplicate paths'),
    (NEW, projected({"secret": {}}, {"downwardAPI": {"items": [{"path": "a", "fieldRef": FIELD}, {"path": "a", "fieldRef": FIELD}]}}), "~.projected.sources[0].secret.name!",
        '~.projected="a" : conflicting duplicate paths'),
    (NEW, projected({"secret": {"name": "s"}, "configMap": {"name": "m"}}, defaultMode=0o1000), "~.projected.defaultMode : must be a number between 0 and 0777 (octal), both inclusive",
        "~.projected.sources[0]- : may not specify more than 1 volume type per source"),
    (NEW, projected(token(path="", expirationSeconds=599)), "~.projected.sources[0].serviceAccountToken.expirationSeconds : may not specify a duration less than 10 minutes", "~.projected.path!",
        "~.projected.sources[0].serviceAccountToken- : must not be specified when serviceAccountName is not set"),
    (NEW, projected(token(path="../t", expirationSeconds=2**32 + 1)), "~.projected.sources[0].serviceAccountToken.expirationSeconds : may not specify a duration larger than 2^32 seconds",
        "~.projected.path=\"../t\" : must not contain '..'", "~.projected.sources[0].serviceAccountToken- : must not be specified when serviceAccountName is not set"),
    (NEW, bundle(name="b", signerName="a.b/c", path="p", labelSelector={"matchLabels": {"b": "c", "a": "d"}}),
        '~.projected.sources[0].clusterTrustBundle={"Name":"b","SignerName":"a.b/c","LabelSelector":{"matchLabels":{"a":"d","b":"c"}},"Optional":null,"Path":"p"} : only one of name and signerName may be used'),
    (NEW, bundle(name="", path="p"), *below("~.projected.sources[0].clusterTrustBundle", ".name! : must be a valid object name", ".name : not a valid clustertrustbundlename: <RFC 1123 subdomain>")),
    (NEW, bundle(name="B_", labelSelector={}, path="p"), *below("~.projected.sources[0].clusterTrustBundle", ".name : not a valid clustertrustbundlename: <RFC 1123 subdomain>",
        ".labelSelector : labelSelector must be unset if name is specified")),
    (NEW, bundle(name="a.b:c:D_", path="p"), "~.projected.sources[0].clusterTrustBundle.name : not a valid clustertrustbundlename: <RFC 1123 subdomain>"),
    (NEW, bundle(signerName="a.b/c", labelSelector={"matchLabels": {"a b": "c"}}, path="../p"), *below("~.projected.sources[0].clusterTrustBundle", '.labelSelector.matchLabels="a b" : <name part>',
        ".path : must not contain '..'")),
    (NEW, bundle(signerName="", path="p"), *below("~.projected.sources[0].clusterTrustBundle", ".signerName! : must be a valid signer name", ".signerName!")),
    (NEW, bundle(signerName="a", path="p"), "~.projected.sources[0].clusterTrustBundle.signerName : must be a fully qualified domain and path of the form 'example.com/signer-name'"),
    (NEW, bundle(signerName="A_/c", path="p"), '~.projected.sources[0].clusterTrustBundle.signerName="A_" : validating label "A_": <RFC 1123 subdomain>'),
    (NEW, bundle(signerName="a/C_", path="p"), *below("~.projected.sources[0].clusterTrustBundle", '.signerName="a" : should be a domain with at least two segments separated by dots',
        '.signerName="C_" : validating label "C_": <RFC 1123 subdomain>')),
    (NEW, bundle(), "~.projected.sources[0].clusterTrustBundle! : either name or signerName must be specified", "~.projected.sources[0].clusterTrustBundle.path!"),
])  # fmt: skip
