"""Validates the volumes of a pod (apis/core/validation, ValidateVolumes)."""

from collections.abc import Sequence

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.validate import volume_sources as sources
from pilothouse.api.validate.common import Repeated, report, validate_dns_label, validate_label_selector
from pilothouse.api.validate.paths import validate_descending, validate_local_path
from pilothouse.api.validate.persistentvolumeclaim import validate_claim_template
from pilothouse.api.validate.pod.env import VOLUME_FIELDS, validate_field_ref, validate_resource_ref
from pilothouse.api.validate.pod.options import PodOptions
from pilothouse.api.validate.resources import amount
from pilothouse.api.validate.shown import label_selector

FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_DUPLICATE_PATH = "conflicting duplicate paths"
_SHOWN = {
    "gcePersistentDisk": "persistentDisk",
    "+gcePersistentDisk": "gcePersistentDisk",
    "+cephfs": "cephFS",
    "+downwardAPI": "downwarAPI",
}


def validate_volumes(
    volumes: Sequence[Object], pod_name: str, path: str, errs: Errors, options: PodOptions
) -> dict[str, Object]:
    """Validates all volumes and returns the valid ones by name; `pod_name` is "" for a template."""
    if names.size(pod_name) > names.SUBDOMAIN_MAX:
        pod_name = ""  # it is invalid anyway, and would make each claim's name as long
    made = {f"{pod_name}-{v.get('name', '')}" for v in volumes if pod_name and v.get("ephemeral") is not None}
    valid: dict[str, Object] = {}
    for i, volume in enumerate(volumes):
        at, name = f"{path}[{i}]", volume.get("name", "")
        found = Errors()
        _source(volume, pod_name, at, found, options)
        if not name:
            found.required(f"{at}.name")
        else:
            validate_dns_label(name, f"{at}.name", found)
        if name in valid:
            found.duplicate(f"{at}.name", name)
        if found:
            errs.extend(found)
        else:
            valid[name] = volume
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
        if volume.get("persistentVolumeClaim") is not None and claim in made:
            why = "must not reference a PVC that gets created for an ephemeral volume"
            errs.invalid(f"{at}.persistentVolumeClaim.claimName", claim, why)
    return valid


def _source(volume: Object, pod_name: str, path: str, errs: Errors, options: PodOptions) -> None:
    name = volume.get("name", "")

    def iscsi(source: Object, at: str, errs: Errors) -> None:
        sources.iscsi(source, at, errs)
        too_long = sources.iscsi_name_too_long(name, source)
        if too_long:
            errs.invalid(f"{path}.name", name, too_long)

    def projected(source: Object, at: str, errs: Errors) -> None:
        _mode(source.get("defaultMode"), f"{at}.defaultMode", errs)
        _projections(source.get("sources") or [], at, errs, options)

    def ephemeral(source: Object, at: str, errs: Errors) -> None:
        if source.get("volumeClaimTemplate") is None:
            errs.required(f"{at}.volumeClaimTemplate")
        else:
            validate_claim_template(source["volumeClaimTemplate"], f"{at}.volumeClaimTemplate", errs)
        claim = f"{pod_name}-{name}"
        if pod_name and name:
            messages = [f"PVC name {quote(claim)}: {m}" for m in names.dns_subdomain(claim)]
            report(f"{path}.name", name, messages, errs)

    def image(source: Object, at: str, errs: Errors) -> None:
        if options.is_pod and not source.get("reference"):
            errs.required(f"{at}.reference")
        policy = source.get("pullPolicy", "")
        if not policy:
            errs.required(f"{at}.pullPolicy")
        elif policy not in PULL_POLICIES:
            errs.not_supported(f"{at}.pullPolicy", policy, PULL_POLICIES)

    special: dict[str, sources.Rule] = {
        "iscsi": iscsi,
        "projected": projected,
        "ephemeral": ephemeral,
        "image": image,
    }
    rules = _RULES if volume.keys().isdisjoint(special) else {**_RULES, **special}
    sources.validate_one_source(volume, path, errs, rules, _SHOWN)


def _in_context(source: Object, path: str, errs: Errors) -> None:
    """Placeholder that keeps a source's position; the rule for it needs more than the source itself."""
    raise AssertionError(path)


def _empty_dir(source: Object, path: str, errs: Errors) -> None:
    if source.get("sizeLimit") is not None and amount(source["sizeLimit"]).sign() < 0:
        errs.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _mode(mode: int | None, path: str, errs: Errors) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        errs.invalid(path, mode, FILE_MODE)


def _keys(name_member: str) -> sources.Rule:
    """Rule for a secret or config map as files."""

    def rule(source: Object, path: str, errs: Errors) -> None:
        if not source.get(name_member):
            errs.required(f"{path}.{name_member}")
        _mode(source.get("defaultMode"), f"{path}.defaultMode", errs)
        for i, item in enumerate(source.get("items") or ()):
            _key_to_path(item, f"{path}.items[{i}]", errs)

    return rule


def _key_to_path(item: Object, path: str, errs: Errors) -> None:
    for member in ("key", "path"):
        if not item.get(member):
            errs.required(f"{path}.{member}")
    validate_local_path(item.get("path", ""), f"{path}.path", errs)
    _mode(item.get("mode"), f"{path}.mode", errs)


def _downward(source: Object, path: str, errs: Errors) -> None:
    _mode(source.get("defaultMode"), f"{path}.defaultMode", errs)
    for item in source.get("items") or ():
        _downward_file(item, path, errs)


def _downward_file(item: Object, path: str, errs: Errors) -> None:
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if not item.get("path"):
        errs.required(f"{path}.path")
    validate_local_path(item.get("path", ""), f"{path}.path", errs)
    if field is not None:
        validate_field_ref(field, VOLUME_FIELDS, f"{path}.fieldRef", errs)
        if resource is not None:
            errs.invalid(
                path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"
            )
    elif resource is not None:
        validate_resource_ref(resource, f"{path}.resourceFieldRef", errs, in_volume=True)
    else:
        errs.required(path, "one of fieldRef and resourceFieldRef is required")
    _mode(item.get("mode"), f"{path}.mode", errs)


def _projections(listed: Sequence[Object], path: str, errs: Errors, options: PodOptions) -> None:
    """Validates the sources of a projected volume; two of them must not write the same file."""
    taken: set[str] = set()

    def claim(file: str, double: Repeated) -> None:
        if file in taken:
            double.add_to(errs, path)
        taken.add(file)

    for i, source in enumerate(listed):
        at = f"{path}.sources[{i}]"
        for member in ("secret", "configMap"):
            part = source.get(member)
            if part is None:
                continue
            if not part.get("name"):
                errs.required(f"{at}.{member}.name")
            double = Repeated(part.get("name", ""), _DUPLICATE_PATH)
            for j, item in enumerate(part.get("items") or ()):
                _key_to_path(item, f"{at}.{member}.items[{j}]", errs)
                if item.get("path"):
                    claim(item["path"], double)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _downward_file(item, f"{at}.downwardAPI", errs)
            if item.get("path"):
                claim(item["path"], Repeated(item["path"], _DUPLICATE_PATH))
        token = source.get("serviceAccountToken")
        if token is not None:
            _token(token, f"{at}.serviceAccountToken", path, errs, options)
        bundle = source.get("clusterTrustBundle")
        if bundle is not None:
            _trust_bundle(bundle, f"{at}.clusterTrustBundle", errs)
            file = bundle.get("path", "")
            claim(file, Repeated(file, _DUPLICATE_PATH))
        kinds = (
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        )
        if sum(source.get(kind) is not None for kind in kinds) > 1:
            errs.forbidden(at, "may not specify more than 1 volume type per source")


def _token(token: Object, path: str, volume_path: str, errs: Errors, options: PodOptions) -> None:
    seconds, file = token.get("expirationSeconds", 0), token.get("path", "")
    if seconds < 600:
        errs.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        errs.invalid(
            f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
        )
    if not file:
        errs.required(f"{volume_path}.path")
    elif not options.allow_non_local_token_path:
        validate_local_path(file, f"{volume_path}.path", errs)


def _trust_bundle(bundle: Object, path: str, errs: Errors) -> None:
    name, signer, file = bundle.get("name"), bundle.get("signerName"), bundle.get("path", "")
    if name is not None and signer is not None:
        errs.invalid(path, _trust_bundle_shown(bundle), "only one of name and signerName may be used")
    elif name is not None:
        if not name:
            errs.required(f"{path}.name", "must be a valid object name")
        messages = [f"not a valid clustertrustbundlename: {m}" for m in trust_bundle_name(name)]
        report(f"{path}.name", name, messages, errs)
        if bundle.get("labelSelector") is not None:
            why = "labelSelector must be unset if name is specified"
            errs.invalid(f"{path}.labelSelector", label_selector(bundle["labelSelector"]), why)
    elif signer is not None:
        if not signer:
            errs.required(f"{path}.signerName", "must be a valid signer name")
        validate_signer_name(signer, f"{path}.signerName", errs)
        validate_label_selector(bundle.get("labelSelector"), f"{path}.labelSelector", errs)
    else:
        errs.required(path, "either name or signerName must be specified")
    if not file:
        errs.required(f"{path}.path")
    validate_local_path(file, f"{path}.path", errs)


def _trust_bundle_shown(bundle: Object) -> Object:
    """A source as upstream's internal type is printed."""
    return {
        "Name": bundle["name"],
        "SignerName": bundle["signerName"],
        "LabelSelector": label_selector(bundle.get("labelSelector")),
        "Optional": bundle.get("optional"),
        "Path": bundle.get("path", ""),
    }


def trust_bundle_name(name: str, signer: str = "") -> list[str]:
    """Errors in a ClusterTrustBundle's name, which begins with its signer's name and a colon if it has one."""
    if not signer and ":" in name:
        signer = name.rpartition(":")[0].replace(":", "/", 1)
    if not signer:
        return names.dns_subdomain(name)
    prefix = signer.replace("/", ":") + ":"
    if not name.startswith(prefix):
        return [f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"]
    return names.dns_subdomain(name.removeprefix(prefix))


def validate_signer_name(signer: str, path: str, errs: Errors) -> None:
    """Validates the name of a certificate signer: `domain/path` (ValidateSignerName)."""
    if not signer:
        errs.required(path)
        return
    parts = signer.split("/")
    if len(parts) != 2:
        errs.invalid(
            path, signer, "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        )
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


_RULES: dict[str, sources.Rule] = {
    "emptyDir": _empty_dir,
    "hostPath": sources.host_path,
    "gitRepo": sources.git_repo,
    "gcePersistentDisk": sources.gce_disk,
    "awsElasticBlockStore": sources.aws_disk,
    "secret": _keys("secretName"),
    "nfs": sources.nfs,
    "iscsi": _in_context,
    "glusterfs": sources.glusterfs,
    "flocker": sources.flocker,
    "persistentVolumeClaim": sources.need("claimName"),
    "rbd": sources.need("monitors", "image"),
    "cinder": sources.cinder,
    "cephfs": sources.need("monitors"),
    "quobyte": sources.quobyte,
    "downwardAPI": _downward,
    "fc": sources.fc,
    "flexVolume": sources.flex,
    "configMap": _keys("name"),
    "azureFile": sources.azure_file,
    "vsphereVolume": sources.need("volumePath"),
    "photonPersistentDisk": sources.need("pdID"),
    "portworxVolume": sources.need("volumeID"),
    "azureDisk": sources.azure_disk,
    "storageos": sources.storage_os,
    "projected": _in_context,
    "scaleIO": sources.need("gateway", "system", "volumeName"),
    "csi": sources.csi,
    "ephemeral": _in_context,
    "image": _in_context,
}
"""Volume sources in upstream's order."""
