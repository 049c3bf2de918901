"""Validates volume sources of pods and of persistent volumes (apis/core/validation)."""

from collections.abc import Callable, Mapping

import re2

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import Repeated, report, validate_dns_label, validate_dns_subdomain
from pilothouse.api.validate.paths import validate_descending, validate_no_backsteps

Rule = Callable[[Object, str, Errors], None]

HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
MORE_THAN_ONE = "may not specify more than 1 volume type"
_IQN = re2.compile(r"iqn\.\d{4}-\d{2}\.([[:alnum:]\-.]+)(:[^,;*&$|\s]+)$")
_EUI = re2.compile(r"eui.[[:alnum:]]{16}")
_NAA = re2.compile(r"naa.[[:alnum:]]{32}")
_MANAGED_URI = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB_URI = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"


def need(*members: str) -> Rule:
    """Returns a rule that only requires fields."""

    def rule(source: Object, path: str, errs: Errors) -> None:
        for member in members:
            if not source.get(member):
                errs.required(f"{path}.{member}")

    return rule


def host_path(source: Object, path: str, errs: Errors) -> None:
    where, kind = source.get("path", ""), source.get("type")
    if not where:
        errs.required(f"{path}.path")
        return
    validate_no_backsteps(where, f"{path}.path", errs)
    if kind is not None and kind not in HOST_PATH_TYPES:
        errs.not_supported(f"{path}.type", kind, HOST_PATH_TYPES)


def git_repo(source: Object, path: str, errs: Errors) -> None:
    if not source.get("repository"):
        errs.required(f"{path}.repository")
    validate_descending(source.get("directory", ""), f"{path}.directory", errs)


def _disk(id_member: str) -> Rule:
    def rule(source: Object, path: str, errs: Errors) -> None:
        if not source.get(id_member):
            errs.required(f"{path}.{id_member}")
        partition = source.get("partition", 0)
        if not 0 <= partition <= 255:
            errs.invalid(f"{path}.partition", partition, names.in_range(1, 255))

    return rule


gce_disk = _disk("pdName")
aws_disk = _disk("volumeID")


def nfs(source: Object, path: str, errs: Errors) -> None:
    where = source.get("path", "")
    if not source.get("server"):
        errs.required(f"{path}.server")
    if not where:
        errs.required(f"{path}.path")
    if not where.startswith("/"):
        errs.invalid(f"{path}.path", where, "must be an absolute path")


def _initiator_fault(name: str) -> str:
    """The error in an iSCSI name: "prefix", "format" or none."""
    for prefix, pattern in (("iqn", _IQN), ("eui", _EUI), ("naa", _NAA)):
        if name.startswith(prefix):
            good = pattern.search(name) if pattern is _IQN else pattern.fullmatch(name)
            return "" if good else "format"
    return "prefix"


def _iscsi(source: Object, path: str, errs: Errors, prefix_text: str) -> None:
    iqn = source.get("iqn", "")
    if not iqn:
        errs.required(f"{path}.iqn")
    else:
        _initiator(iqn, f"{path}.iqn", errs, prefix_text)
    lun = source.get("lun", 0)
    if not 0 <= lun <= 255:
        errs.invalid(f"{path}.lun", lun, names.in_range(0, 255))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        errs.required(f"{path}.secretRef")


def _initiator(name: str, path: str, errs: Errors, prefix_text: str) -> None:
    fault = _initiator_fault(name)
    if fault:
        errs.invalid(path, name, prefix_text if fault == "prefix" else "must be valid format")


def iscsi(source: Object, path: str, errs: Errors) -> None:
    prefix = "must be valid format starting with iqn, eui, or naa"
    if not source.get("targetPortal"):
        errs.required(f"{path}.targetPortal")
    _iscsi(source, path, errs, prefix)
    if source.get("initiatorName") is not None:
        _initiator(source["initiatorName"], f"{path}.initiatorname", errs, prefix)


def iscsi_name_too_long(name: str, source: Object) -> str:
    """The message for a volume name that makes the initiator name too long, "" if it is short enough."""
    if source.get("initiatorName") is None or names.size(f"{name}:{source.get('targetPortal', '')}") <= 64:
        return ""
    return (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters"
        " if iscsi.initiatorName is specified."
    )


def persistent_iscsi(source: Object, path: str, errs: Errors, name: str) -> None:
    portal = source.get("targetPortal", "")
    if not portal:
        errs.required(f"{path}.targetPortal")
    too_long = iscsi_name_too_long(name, source)
    if too_long:
        errs.invalid(f"{path}.targetportal", portal, too_long)
    _iscsi(source, path, errs, "must be valid format")
    if source.get("secretRef") is not None and not source["secretRef"].get("name"):
        errs.required(f"{path}.secretRef.name")
    if source.get("initiatorName") is not None:
        _initiator(source["initiatorName"], f"{path}.initiatorname", errs, "must be valid format")


def fc(source: Object, path: str, errs: Errors) -> None:
    wwns, wwids = source.get("targetWWNs") or [], source.get("wwids") or []
    if not wwns and not wwids:
        errs.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if wwns and wwids:
        errs.invalid(f"{path}.targetWWNs", wwns, "targetWWNs and wwids can not be specified simultaneously")
    if wwns:
        lun = source.get("lun")
        if lun is None:
            errs.required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= lun <= 255:
            errs.invalid(f"{path}.lun", lun, names.in_range(0, 255))


def quobyte(source: Object, path: str, errs: Errors) -> None:
    registry, hosts = (
        source.get("registry", ""),
        "must be a host:port pair or multiple pairs separated by commas",
    )
    if not registry:
        errs.required(f"{path}.registry", hosts)
    elif names.size(source.get("tenant", "")) >= 65:
        errs.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    else:
        wrong = Repeated(registry, hosts)
        for pair in registry.split(","):
            if not _is_host_port(pair):
                wrong.add_to(errs, f"{path}.registry")
    if not source.get("volume"):
        errs.required(f"{path}.volume")


def _is_host_port(text: str) -> bool:
    """Whether Go's net.SplitHostPort accepts a text."""
    host, colon, _ = text.rpartition(":")
    if not colon:
        return False
    if host.startswith("["):
        return host.endswith("]") and "[" not in host[1:] and "]" not in host[1:-1]
    return ":" not in host and "[" not in text and "]" not in text


glusterfs = need("endpoints", "path")


def persistent_glusterfs(source: Object, path: str, errs: Errors) -> None:
    glusterfs(source, path, errs)
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        why = "if the endpointnamespace is set, it must be a valid namespace name"
        errs.invalid(f"{path}.endpointsNamespace", namespace, why)
    elif namespace is not None:
        validate_dns_label(namespace, f"{path}.endpointsNamespace", errs)


def flocker(source: Object, path: str, errs: Errors) -> None:
    name, uid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uid:
        errs.required(path, "one of datasetName and datasetUUID is required")
    if name and uid:
        errs.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        errs.invalid(f"{path}.datasetName", name, "must not contain '/'")


def cinder(source: Object, path: str, errs: Errors) -> None:
    _with_secret(source, path, errs, "volumeID", ("name",))


def persistent_cinder(source: Object, path: str, errs: Errors) -> None:
    _with_secret(source, path, errs, "volumeID", ("name", "namespace"))


def _with_secret(source: Object, path: str, errs: Errors, member: str, parts: tuple[str, ...]) -> None:
    if member and not source.get(member):
        errs.required(f"{path}.{member}")
    if source.get("secretRef") is not None:
        for part in parts:
            if not source["secretRef"].get(part):
                errs.required(f"{path}.secretRef.{part}")


def flex(source: Object, path: str, errs: Errors) -> None:
    if not source.get("driver"):
        errs.required(f"{path}.driver")
    for option in sorted(source.get("options") or ()):
        domain = "." + option.partition("/")[0].lower() if "/" in option else "." + option.lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            why = "kubernetes.io and k8s.io namespaces are reserved"
            errs.invalid(f"{path}.options[{option}]", option, why)


azure_file = need("secretName", "shareName")


def persistent_azure_file(source: Object, path: str, errs: Errors) -> None:
    azure_file(source, path, errs)
    if source.get("secretNamespace") == "":
        errs.required(f"{path}.secretNamespace")


def azure_disk(source: Object, path: str, errs: Errors) -> None:
    need("diskName", "diskURI")(source, path, errs)
    uri, caching, kind = source.get("diskURI", ""), source.get("cachingMode"), source.get("kind")
    if caching is not None and caching not in ("None", "ReadOnly", "ReadWrite"):
        errs.not_supported(f"{path}.cachingMode", caching, ("None", "ReadOnly", "ReadWrite"))
    if kind is not None and kind not in ("Dedicated", "Managed", "Shared"):
        errs.not_supported(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        errs.not_supported(f"{path}.diskURI", uri, (_MANAGED_URI,))
    if kind is not None and kind != "Managed" and not uri.startswith("https://"):
        errs.not_supported(f"{path}.diskURI", uri, (_BLOB_URI,))


def _storage_os(parts: tuple[str, ...]) -> Rule:
    def rule(source: Object, path: str, errs: Errors) -> None:
        name, namespace = source.get("volumeName", ""), source.get("volumeNamespace", "")
        if not name:
            errs.required(f"{path}.volumeName")
        else:
            validate_dns_label(name, f"{path}.volumeName", errs)
        if namespace:
            validate_dns_label(namespace, f"{path}.volumeNamespace", errs)
        _with_secret(source, path, errs, "", parts)

    return rule


storage_os = _storage_os(("name",))
persistent_storage_os = _storage_os(("name", "namespace"))


def local(source: Object, path: str, errs: Errors) -> None:
    where = source.get("path", "")
    if not where:
        errs.required(f"{path}.path")
    else:
        validate_no_backsteps(where, f"{path}.path", errs)


def csi_driver_name(name: str, path: str, errs: Errors) -> None:
    if not name:
        errs.required(path)
        return
    if names.size(name) > 63:
        errs.too_long(path, 63)
    report(path, name, names.dns_subdomain(name.lower()), errs)


def csi(source: Object, path: str, errs: Errors) -> None:
    csi_driver_name(source.get("driver", ""), f"{path}.driver", errs)
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        if not secret.get("name"):
            errs.required(f"{path}.nodePublishSecretRef.name")
        else:
            validate_dns_subdomain(secret["name"], f"{path}.name", errs)


def persistent_csi(source: Object, path: str, errs: Errors) -> None:
    csi_driver_name(source.get("driver", ""), f"{path}.driver", errs)
    if not source.get("volumeHandle"):
        errs.required(f"{path}.volumeHandle")
    for member in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        if source.get(f"{member}SecretRef") is not None:
            _secret_reference(source[f"{member}SecretRef"], f"{path}.{member}SecretRef", errs)


def _secret_reference(reference: Object, path: str, errs: Errors) -> None:
    name, namespace = reference.get("name", ""), reference.get("namespace", "")
    if not name:
        errs.required(f"{path}.name")
    else:
        validate_dns_subdomain(name, f"{path}.name", errs)
    if not namespace:
        errs.required(f"{path}.namespace")
    else:
        validate_dns_label(namespace, f"{path}.namespace", errs)


def validate_one_source(
    holder: Object, path: str, errs: Errors, rules: Mapping[str, Rule], shown: Mapping[str, str]
) -> None:
    """Check that exactly one source is set, and apply its rule.

    `shown` has the paths for which upstream does not use the field's name; "+field" is the path for a second
    source, and "" allows that field as a second source.
    """
    count = 0
    for member, rule in rules.items():
        if member not in holder or (source := holder[member]) is None:
            continue
        second = shown.get("+" + member, member)
        if count and second:
            errs.forbidden(f"{path}.{second}", MORE_THAN_ONE)
        else:
            rule(source, f"{path}.{shown.get(member, member)}", errs)
        count += 1
    if not count:
        errs.required(path, "must specify a volume type")
