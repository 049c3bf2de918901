"""Checks the audience of a token that a kubelet requests:
named by the pod's volumes, or granted by the authorizer."""

from collections.abc import Awaitable, Sequence

from pilothouse import errors
from pilothouse.admission.authorization import AccessAuthorizer, allowed
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

VERB = "request-serviceaccounts-token-audience"

MIGRATED = {
    "awsElasticBlockStore": "ebs.csi.aws.com",
    "azureDisk": "disk.csi.azure.com",
    "azureFile": "file.csi.azure.com",
    "cinder": "cinder.csi.openstack.org",
    "gcePersistentDisk": "pd.csi.storage.gke.io",
    "portworxVolume": "pxd.portworx.com",
    "vsphereVolume": "csi.vsphere.vmware.com",
}
"""In-tree volume source -> the CSI driver that replaced it."""


def check_audience(
    authorizer: AccessAuthorizer, a: AdmissionAttributes, audiences: Sequence[str], pod: Object
) -> Awaitable[None] | None:
    """Raise Forbidden unless the pod's volumes or the authorizer allow the audience."""
    if len(audiences) > 1:
        raise a.refuse("node may only request 0 or 1 audiences")
    audience = audiences[0] if audiences else ""
    faults: list[str] = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if _projects(volume, audience):
            return None
        try:
            driver = _driver(a, pod, volume)
            if driver and audience in _of_driver(a, driver):
                return None
        except errors.NotFound as error:
            faults.append(error.message)
    if faults:
        unique = list(dict.fromkeys(faults))
        message = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
        raise a.refuse(f"error validating audience {quote(audience)}: {message}")
    return _ask(authorizer, a, audience)


async def _ask(authorizer: AccessAuthorizer, a: AdmissionAttributes, audience: str) -> None:
    asked = AuthorizationAttributes(
        a.user,
        VERB,
        is_resource=True,
        version="v1",
        resource=audience,
        namespace=a.namespace,
        name=a.name,
    )
    if not await allowed(authorizer, asked):
        raise a.refuse(
            f"audience {quote(audience)} not found in pod spec volume, {a.user.name} is not authorized to "
            "request tokens for this audience"
        )


def _projects(volume: Object, audience: str) -> bool:
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and token.get("audience", "") == audience:
            return True
    return False


def _driver(a: AdmissionAttributes, pod: Object, volume: Object) -> str:
    """The CSI driver that mounts a volume, "" for none;
    raises NotFound if its claim or volume does not exist."""
    if (volume.get("ephemeral") or {}).get("volumeClaimTemplate") is not None:
        return _driver_of_claim(a, f"{pod['metadata']['name']}-{volume['name']}")
    if volume.get("persistentVolumeClaim") is not None:
        return _driver_of_claim(a, volume["persistentVolumeClaim"].get("claimName", ""))
    if volume.get("csi") is not None:
        return str(volume["csi"].get("driver", ""))
    return _migrated(volume)


def _driver_of_claim(a: AdmissionAttributes, name: str) -> str:
    claim = a.readers.get("persistentvolumeclaims", a.namespace, name)
    if claim is None:
        raise errors.not_found("", "persistentvolumeclaim", name)
    bound = (claim.get("spec") or {}).get("volumeName", "")
    volume = a.readers.get("persistentvolumes", "", bound) if bound else None
    if volume is None:
        raise errors.not_found("", "persistentvolume", bound)
    spec = volume.get("spec") or {}
    return str(spec["csi"].get("driver", "")) if spec.get("csi") else _migrated(spec)


def _migrated(sources: Object) -> str:
    return next((driver for name, driver in MIGRATED.items() if sources.get(name) is not None), "")


def _of_driver(a: AdmissionAttributes, name: str) -> set[str]:
    """The audiences of the tokens that a CSI driver receives."""
    driver = a.readers.get("csidrivers.storage.k8s.io", "", name)
    if driver is None:
        raise errors.not_found("storage.k8s.io", "csidriver", name)
    return {t.get("audience", "") for t in (driver.get("spec") or {}).get("tokenRequests") or ()}
