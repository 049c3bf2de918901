"""Validates the volumes of a pod (apis/core/validation, ValidateVolumes)."""

from collections.abc import Sequence

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import Repeated
from pilothouse.api.validate.paths import validate_descending, validate_local_path
from pilothouse.api.validate.persistentvolumeclaim import validate_claim_template
from pilothouse.api.validate.pod.env import VOLUME_FIELDS, validate_field_ref, validate_resource_ref
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.resources import amount
from pilothouse.api.validate.volume_sources import MORE_THAN_ONE, iscsi_name_too_long, rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote

_DUPLICATE_PATH = "conflicting duplicate paths"
_MOST_NAMED = 256 * 1024
"""Characters of pods' names that are too long and that causes about claims may repeat."""
_FILE_MODE = "0..511 : must be a number between 0 and 0777 (octal), both inclusive"

_source = rules.table("api.core.v1.Volume")(f"""
    first-of : {MORE_THAN_ONE} / must specify a volume type
      emptyDir
        sizeLimit                       size-limit
      hostPath                          host-path
      gitRepo                           git-repo
      gcePersistentDisk                 gce-disk as:persistentDisk
      awsElasticBlockStore              aws-disk
      secret
        secretName!
        @files
      nfs                               nfs
      iscsi                             iscsi @iscsi-name
      glusterfs                         glusterfs
      flocker                           flocker
      persistentVolumeClaim
        claimName!
      rbd                               monitors-and-image
      cinder                            cinder
      cephfs                            second:cephFS
        monitors!
      quobyte                           quobyte
      downwardAPI                       downward second:downwarAPI
      fc                                fc
      flexVolume                        flex
      configMap
        name!
        @files
      azureFile                         azure-file
      vsphereVolume
        volumePath!
      photonPersistentDisk
        pdID!
      portworxVolume
        volumeID!
      azureDisk                         azure-disk
      storageos                         storage-os
      projected
        defaultMode                     {_FILE_MODE}
        @projections
      scaleIO                           scale-io
      csi                               csi
      ephemeral
        volumeClaimTemplate*            claim-template
      image
        if $is_pod
          reference!
        pullPolicy!                     Always|IfNotPresent|Never
""")
"""The sources in upstream's order; around them are the options of the pod."""
rules.define(f"""
files                               api.core.v1.SecretVolumeSource|ConfigMapVolumeSource
    defaultMode                         {_FILE_MODE}
    items[]                             key-to-path
key-to-path                         api.core.v1.KeyToPath
    key!
    path!
    path                                local-path
    mode                                {_FILE_MODE}
downward                            api.core.v1.DownwardAPIVolumeSource
    defaultMode                         {_FILE_MODE}
    items[=]                            downward-file as:
downward-file                       api.core.v1.DownwardAPIVolumeFile
    path!
    path                                local-path
    if fieldRef given
      fieldRef                          volume-field-ref
      if resourceFieldRef given
        invalid                         show:resource : fieldRef and resourceFieldRef can not be specified simultaneously
    else
      resourceFieldRef                  volume-resource-ref
      if not resourceFieldRef given
        required                        : one of fieldRef and resourceFieldRef is required
    mode                                {_FILE_MODE}
projection-file                     api.core.v1.SecretProjection|ConfigMapProjection
    name!
    items[]                             key-to-path
token                               api.core.v1.ServiceAccountTokenProjection
    expirationSeconds~                  >=600 : may not specify a duration less than 10 minutes
    expirationSeconds~                  <={1 << 32} : may not specify a duration larger than 2^32 seconds
trust-bundle                        api.core.v1.ClusterTrustBundleProjection
    if name given and signerName given
      invalid                           show:api.core.v1.ClusterTrustBundleProjection : only one of name and signerName may be used
    elif name given
      name!                             : must be a valid object name
      name                              trust-bundle-name
      labelSelector                     never show:label-selector : labelSelector must be unset if name is specified
    elif signerName given
      signerName!                       : must be a valid signer name
      signerName                        signer-name
      labelSelector                     label-selector
    else
      required                          : either name or signerName must be specified
    path!
    path                                local-path
""")
rules(validate_claim_template)
rules.add("volume-field-ref", lambda ref, path, errs: validate_field_ref(ref, VOLUME_FIELDS, path, errs))
rules.add(
    "volume-resource-ref", lambda ref, path, errs: validate_resource_ref(ref, path, errs, in_volume=True)
)


@rules
def _size_limit(limit: str, path: str, errs: Errors) -> None:
    if amount(limit).sign() < 0:
        errs.forbidden(path, "SizeLimit field must be a valid resource quantity")


def validate_volumes(
    volumes: Sequence[Object], pod_name: str, path: str, errs: Errors, options: PodOptions
) -> dict[str, Object]:
    """Validates all volumes and returns the valid ones by name; `pod_name` is "" for a template."""
    too_long = names.size(pod_name) > names.SUBDOMAIN_MAX
    if too_long and len(pod_name) * len(volumes) > _MOST_NAMED:
        pod_name = ""  # it is invalid anyway, and would make each claim's name as long
    made = {f"{pod_name}-{v.get('name', '')}" for v in volumes if pod_name and v.get("ephemeral") is not None}
    valid: dict[str, Object] = {}
    found = Errors()
    for i, volume in enumerate(volumes):
        at, name = f"{path}[{i}]", volume.get("name", "")
        _source(volume, at, found, options)
        _name(volume, pod_name, f"{at}.name", found)
        if name in valid:
            found.duplicate(f"{at}.name", name)
        if found.causes:
            errs.extend(found)
            found = Errors()
        else:
            valid[name] = volume
        if made and (volume.get("persistentVolumeClaim") or {}).get("claimName") in made:
            claim = volume["persistentVolumeClaim"]["claimName"]
            why = "must not reference a PVC that gets created for an ephemeral volume"
            errs.invalid(f"{at}.persistentVolumeClaim.claimName", claim, why)
    return valid


_LAST = frozenset(("name", "ephemeral", "image"))
"""A second source is forbidden and not judged."""


def _name(volume: Object, pod_name: str, path: str, errs: Errors) -> None:
    """The name of an ephemeral volume's claim is made from the volume's name."""
    name = volume.get("name", "")
    if pod_name and name and volume.get("ephemeral") is not None and volume.keys() <= _LAST:
        claim = f"{pod_name}-{name}"
        for message in names.dns_subdomain(claim):
            errs.invalid(path, name, f"PVC name {quote(claim)}: {message}")
    if name:
        d.dns_label(name, path, errs)
    else:
        errs.required(path)


@rules
def _iscsi_name(volume: Object, path: str, errs: Errors) -> None:
    """The name of the iSCSI initiator is made from the volume's name."""
    name = volume.get("name", "")
    too_long = iscsi_name_too_long(name, volume["iscsi"])
    if too_long:
        errs.invalid(f"{path}.name", name, too_long)


_PROJECTIONS = "secret configMap downwardAPI serviceAccountToken clusterTrustBundle podCertificate"


@rules
def _projections(projected: Object, path: str, errs: Errors, options: PodOptions) -> None:
    """Validates the sources of a projected volume; two of them must not write the same file."""
    taken: set[str] = set()

    def claim(file: str, double: Repeated) -> None:
        if file in taken:
            double.add_to(errs, path)
        taken.add(file)

    for i, source in enumerate(projected.get("sources") or ()):
        at = f"{path}.sources[{i}]"
        for member in ("secret", "configMap"):
            part = source.get(member)
            if part is not None:
                rules["projection-file"](part, f"{at}.{member}", errs)
                double = Repeated(part.get("name", ""), _DUPLICATE_PATH)
                for item in part.get("items") or ():
                    if item.get("path"):
                        claim(item["path"], double)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            rules["downward-file"](item, f"{at}.downwardAPI", errs)
            if item.get("path"):
                claim(item["path"], Repeated(item["path"], _DUPLICATE_PATH))
        token = source.get("serviceAccountToken")
        if token is not None:
            rules["token"](token, f"{at}.serviceAccountToken", errs)
            if not token.get("path"):
                errs.required(f"{path}.path")
            elif not options.allow_non_local_token_path:
                validate_local_path(token["path"], f"{path}.path", errs)
        bundle = source.get("clusterTrustBundle")
        if bundle is not None:
            rules["trust-bundle"](bundle, f"{at}.clusterTrustBundle", errs)
            file = bundle.get("path", "")
            claim(file, Repeated(file, _DUPLICATE_PATH))
        if sum(source.get(kind) is not None for kind in _PROJECTIONS.split()) > 1:
            errs.forbidden(at, "may not specify more than 1 volume type per source")


def trust_bundle_name(name: str, signer: str = "") -> list[str]:
    """Errors in a ClusterTrustBundle's name, which begins with its signer's name, if any, and a colon."""
    if not signer and ":" in name:
        signer = name.rpartition(":")[0].replace(":", "/", 1)
    if not signer:
        return names.dns_subdomain(name)
    prefix = signer.replace("/", ":") + ":"
    if not name.startswith(prefix):
        return [f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"]
    return names.dns_subdomain(name.removeprefix(prefix))


rules.add("trust-bundle-name", d.Matches(trust_bundle_name, text="not a valid clustertrustbundlename: {}"))


@rules
def validate_signer_name(signer: str, path: str, errs: Errors) -> None:
    """Validates the name of a certificate signer: `domain/path` (ValidateSignerName)."""
    if not signer:
        errs.required(path)
        return
    parts = signer.split("/")
    if len(parts) != 2:
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        errs.invalid(path, signer, why)
        return
    domain, last = parts
    for message in names.dns_subdomain(domain):
        errs.invalid(path, domain, f"validating label {quote(domain)}: {message}")
        return
    if domain.count(".") < 1:
        why = "should be a domain with at least two segments separated by dots"
        errs.invalid(path, domain, why)
    for message in names.dns_subdomain(last):
        errs.invalid(path, last, f"validating label {quote(last)}: {message}")
    if names.size(signer) > 571:
        errs.too_long(path, 571)
    validate_descending("", path, errs)
