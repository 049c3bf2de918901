"""For which audiences a kubelet may ask for a token: those that the pod's volumes name, or that it was granted."""

from collections.abc import Awaitable, Sequence

from pilothouse import errors
from pilothouse.admission.chain import AdmissionAttributes
from pilothouse.api.fields import Object, quote
from pilothouse.api.identity import AuthorizationAttributes

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
"""The CSI driver that stands for a volume source of old."""


def check_audience(a: AdmissionAttributes, audiences: Sequence[str], pod: Object) -> Awaitable[None] | None:
    """Raise Forbidden unless the pod names the audience or the kubelet has the right to ask for it."""
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
        why = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
        raise a.refuse(f"error validating audience {quote(audience)}: {why}")
    return _ask(a, audience)


async def _ask(a: AdmissionAttributes, audience: str) -> None:
    asked = AuthorizationAttributes(
        a.user,
        VERB,
        is_resource=True,
        version="v1",
        resource=audience,
        namespace=a.namespace,
        name=a.name,
    )
    decision = await a.services.authorizer.authorize(asked)
    if not decision.allowed:
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
    """The CSI driver that mounts a volume, "" for none; NotFound when its claim or volume is not there."""
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
    """The audiences of the tokens that a driver is given."""
    driver = a.readers.get("csidrivers.storage.k8s.io", "", name)
    if driver is None:
        raise errors.not_found("storage.k8s.io", "csidriver", name)
    return {t.get("audience", "") for t in (driver.get("spec") or {}).get("tokenRequests") or ()}
