"""Validates volume sources of pods and of persistent volumes (apis/core/validation)."""

import re2

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import Repeated
from pilothouse.api.validate.paths import validate_descending, validate_local_path, validate_no_backsteps
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

MORE_THAN_ONE = "may not specify more than 1 volume type"
_IQN = re2.compile(r"iqn\.\d{4}-\d{2}\.([[:alnum:]\-.]+)(:[^,;*&$|\s]+)$")
_EUI = re2.compile(r"eui.[[:alnum:]]{16}")
_NAA = re2.compile(r"naa.[[:alnum:]]{32}")
_MANAGED_URI = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB_URI = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_HOSTS = "must be a host:port pair or multiple pairs separated by commas"
rules = Rules(
    __name__,
    validate_descending,
    validate_local_path,
    validate_no_backsteps,
    no_slash=d.holds(lambda name: "/" not in name, "must not contain '/'"),
    initiator=lambda name, path, errs: _initiator(
        name, path, errs, "must be valid format starting with iqn, eui, or naa"
    ),
    persistent_initiator=lambda name, path, errs: _initiator(name, path, errs, "must be valid format"),
)


def _initiator_fault(name: str) -> str:
    """The error in an iSCSI name: "prefix", "format" or none."""
    for prefix, pattern in (("iqn", _IQN), ("eui", _EUI), ("naa", _NAA)):
        if name.startswith(prefix):
            good = pattern.search(name) if pattern is _IQN else pattern.fullmatch(name)
            return "" if good else "format"
    return "prefix"


def _initiator(name: str, path: str, errs: Errors, prefix_text: str) -> None:
    fault = _initiator_fault(name)
    if fault:
        errs.invalid(path, name, prefix_text if fault == "prefix" else "must be valid format")


@rules
def _tenant_or_hosts(source: Object, path: str, errs: Errors) -> None:
    registry = source["registry"]
    if names.size(source.get("tenant", "")) >= 65:
        errs.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
        return
    wrong = Repeated(registry, _HOSTS)
    for pair in registry.split(","):
        if not _is_host_port(pair):
            wrong.add_to(errs, f"{path}.registry")


def _is_host_port(text: str) -> bool:
    """Whether Go's net.SplitHostPort accepts a text."""
    host, colon, _ = text.rpartition(":")
    if not colon:
        return False
    if host.startswith("["):
        return host.endswith("]") and "[" not in host[1:] and "]" not in host[1:-1]
    return ":" not in host and "[" not in text and "]" not in text


@rules
def _disk_uri(source: Object, path: str, errs: Errors) -> None:
    uri, kind = source.get("diskURI", ""), source["kind"]
    start, form = ("/subscriptions/", _MANAGED_URI) if kind == "Managed" else ("https://", _BLOB_URI)
    if not uri.startswith(start):
        errs.not_supported(f"{path}.diskURI", uri, (form,))


@rules
def _options(options: Object, path: str, errs: Errors) -> None:
    for option in sorted(options):
        domain = "." + option.partition("/")[0].lower() if "/" in option else "." + option.lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            why = "kubernetes.io and k8s.io namespaces are reserved"
            errs.invalid(f"{path}[{option}]", option, why)


@rules
def _publishing_secret(source: Object, path: str, errs: Errors) -> None:
    """Upstream's path is that of the source."""
    name = (source.get("nodePublishSecretRef") or {}).get("name")
    if name:
        d.dns_subdomain(name, f"{path}.name", errs)


rules.define("""
host-path                           api.core.v1.HostPathVolumeSource
    path!                           no-backsteps
    if path
      type                          |BlockDevice|CharDevice|Directory|DirectoryOrCreate|File|FileOrCreate|Socket
git-repo                            api.core.v1.GitRepoVolumeSource
    repository!
    directory                       descending
gce-disk                            api.core.v1.GCEPersistentDiskVolumeSource
    pdName!
    partition                       0..255 : must be between 1 and 255, inclusive
aws-disk                            api.core.v1.AWSElasticBlockStoreVolumeSource
    volumeID!
    partition                       0..255 : must be between 1 and 255, inclusive
nfs                                 api.core.v1.NFSVolumeSource
    server!
    path!
    path                            absolute
chap                                api.core.v1.ISCSIVolumeSource|ISCSIPersistentVolumeSource
    lun                             0..255
    if chapAuthDiscovery or chapAuthSession
      secretRef*
iscsi                               api.core.v1.ISCSIVolumeSource
    targetPortal!
    iqn!                            initiator
    @chap
    initiatorName                   initiator as:initiatorname
persistent-iscsi                    api.core.v1.ISCSIPersistentVolumeSource
    iqn!                            persistent-initiator
    @chap
    secretRef
      name!
    initiatorName                   persistent-initiator as:initiatorname
fc                                  api.core.v1.FCVolumeSource
    if not targetWWNs and not wwids
      targetWWNs!                   : must specify either targetWWNs or wwids, but not both
    if targetWWNs and wwids
      targetWWNs                    never : targetWWNs and wwids can not be specified simultaneously
    if targetWWNs
      lun*                          : lun is required if targetWWNs is specified
      lun                           0..255
quobyte                             api.core.v1.QuobyteVolumeSource
    registry!                       : must be a host:port pair or multiple pairs separated by commas
    if registry
      @tenant-or-hosts
    volume!
glusterfs                           api.core.v1.GlusterfsVolumeSource
    endpoints!
    path!
persistent-glusterfs                api.core.v1.GlusterfsPersistentVolumeSource
    endpoints!
    path!
    if endpointsNamespace given
      if endpointsNamespace
        endpointsNamespace          dns-label
      else
        endpointsNamespace          never : if the endpointnamespace is set, it must be a valid namespace name
flocker                             api.core.v1.FlockerVolumeSource
    if not datasetName and not datasetUUID
      required                      : one of datasetName and datasetUUID is required
    if datasetName and datasetUUID
      invalid                       show:resource : datasetName and datasetUUID can not be specified simultaneously
    datasetName                     no-slash
cinder                              api.core.v1.CinderVolumeSource
    volumeID!
    secretRef
      name!
persistent-cinder                   api.core.v1.CinderPersistentVolumeSource
    volumeID!
    secretRef
      name!
      namespace!
azure-file                          api.core.v1.AzureFileVolumeSource
    secretName!
    shareName!
persistent-azure-file               api.core.v1.AzureFilePersistentVolumeSource
    secretName!
    shareName!
    if secretNamespace given
      secretNamespace!
azure-disk                          api.core.v1.AzureDiskVolumeSource
    diskName!
    diskURI!
    cachingMode                     None|ReadOnly|ReadWrite
    kind                            Dedicated|Managed|Shared
    if kind given
      @disk-uri
storage-os                          api.core.v1.StorageOSVolumeSource
    volumeName!                     dns-label
    volumeNamespace+                dns-label
    secretRef
      name!
persistent-storage-os               api.core.v1.StorageOSPersistentVolumeSource
    volumeName!                     dns-label
    volumeNamespace+                dns-label
    secretRef
      name!
      namespace!
local                               api.core.v1.LocalVolumeSource
    path!                           no-backsteps
csi                                 api.core.v1.CSIVolumeSource
    driver                          driver-name
    nodePublishSecretRef
      name!
    @publishing-secret
persistent-csi                      api.core.v1.CSIPersistentVolumeSource
    driver                          driver-name
    volumeHandle!
    controllerPublishSecretRef      secret-reference
    controllerExpandSecretRef       secret-reference
    nodePublishSecretRef            secret-reference
    nodeExpandSecretRef             secret-reference
secret-reference                    api.core.v1.SecretReference
    name!                           dns-subdomain
    namespace!                      dns-label
flex                                api.core.v1.FlexVolumeSource|FlexPersistentVolumeSource
    driver!
    options                         options
monitors-and-image                  api.core.v1.RBDVolumeSource|RBDPersistentVolumeSource
    monitors!
    image!
scale-io                            api.core.v1.ScaleIOVolumeSource|ScaleIOPersistentVolumeSource
    gateway!
    system!
    volumeName!
""")
"""The sources, each as it is in a pod and, where that differs, as it is in a persistent volume."""


def iscsi_name_too_long(name: str, source: Object) -> str:
    """The message for a volume name that makes the initiator name too long, "" if it is short enough."""
    if source.get("initiatorName") is None or names.size(f"{name}:{source.get('targetPortal', '')}") <= 64:
        return ""
    return (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters"
        " if iscsi.initiatorName is specified."
    )
