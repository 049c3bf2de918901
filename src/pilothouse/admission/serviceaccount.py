"""ServiceAccount: gives pods an account,
its pull secrets and a token volume, and refuses forbidden references."""

import secrets
from typing import Any

from pilothouse.admission.about import CREATE, UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values import names
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
MIRROR = "kubernetes.io/config.mirror"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_SECONDS = 3607
TRUE = ("1", "t", "T", "TRUE", "true", "True")
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class ServiceAccount(AdmissionPlugin):
    name = "ServiceAccount"
    about = (About((CREATE,), ("pods",)), About((UPDATE,), ("pods/ephemeralcontainers",)))

    def mutate(self, a: AdmissionAttributes) -> None:
        if a.operation != "CREATE":
            return
        assert a.obj is not None
        spec = a.obj.setdefault("spec", {})
        if _is_mirror(a.obj):
            self.validate(a)  # before the pod's own rules, as upstream does
            return
        if not spec.get("serviceAccountName"):
            a.changed("spec.serviceAccountName")
            spec["serviceAccountName"] = spec.get("serviceAccount") or DEFAULT
        if spec.get("serviceAccount") != spec["serviceAccountName"]:
            a.changed("spec.serviceAccount")
        spec["serviceAccount"] = spec["serviceAccountName"]
        account = _account(a, spec["serviceAccountName"])
        if _automount(account, spec):
            _mount_token(a, spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            a.changed("spec.imagePullSecrets")
            spec["imagePullSecrets"] = [dict(ref) for ref in account["imagePullSecrets"]]
        if account["metadata"].get("annotations"):
            _enforce(a, account, spec)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj.get("spec") or {}
        if a.operation == "CREATE" and _is_mirror(a.obj):
            _check_mirror(a, spec)
            return
        account = _account(a, spec.get("serviceAccountName") or DEFAULT)
        if account["metadata"].get("annotations"):
            _enforce(a, account, spec)


def _enforce(a: AdmissionAttributes, account: Object, spec: Object) -> None:
    """Hold a pod to the secrets that its account lists, where the account says so."""
    if account["metadata"]["annotations"].get(ENFORCE) in TRUE:
        _limit_secrets(a, account, spec)


def _is_mirror(pod: Object) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


def _account(a: AdmissionAttributes, name: str) -> Object:
    account = a.readers.get("serviceaccounts", a.namespace, name)
    if account is None:
        why = f'serviceaccount "{name}" not found'
        if wrong := names.path_segment(name):  # upstream's client finds that it cannot ask for it
            why = f'invalid resource name "{name}": [{" ".join(wrong)}]'
        raise a.refuse(f"error looking up service account {a.namespace}/{name}: {why}")
    return account


def _check_mirror(a: AdmissionAttributes, spec: Object) -> None:
    if spec.get("serviceAccountName"):
        raise a.refuse("a mirror pod may not reference service accounts")
    if _references_secrets(spec):
        raise a.refuse("a mirror pod may not reference secrets")
    for volume in spec.get("volumes") or []:
        for source in (volume.get("projected") or {}).get("sources") or []:
            if source.get("serviceAccountToken") is not None:
                raise a.refuse("a mirror pod may not use ServiceAccountToken volume projections")


def _references_secrets(node: Any) -> bool:
    """Whether a pod spec refers to a secret anywhere."""
    if isinstance(node, list):
        return any(_references_secrets(item) for item in node)
    if not isinstance(node, dict):
        return False
    for key, value in node.items():
        if key in ("secret", "secretRef", "secretKeyRef", "nodePublishSecretRef") and value:
            return True
        if key == "imagePullSecrets" and value:
            return True
        if isinstance(value, (dict, list)) and _references_secrets(value):
            return True
    return False


def _automount(account: Object, spec: Object) -> bool:
    own = spec.get("automountServiceAccountToken")
    if own is not None:
        return bool(own)
    return account.get("automountServiceAccountToken") is not False


def _mount_token(a: AdmissionAttributes, spec: Object) -> None:
    """Add the projected token volume, and mount it in containers that mount nothing else at its path."""
    volumes = spec.get("volumes") or []
    name = next((v["name"] for v in volumes if str(v.get("name", "")).startswith(VOLUME_PREFIX)), "")
    add = not name
    name = name or VOLUME_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(5))
    used = False
    for kind in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(kind) or []):
            mounts = container.get("volumeMounts") or []
            if any(m.get("mountPath") == MOUNT_PATH for m in mounts):
                continue
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            a.changed(f"spec.{kind}[{at}].volumeMounts")
            used = True
    if used and add:
        a.changed("spec.volumes")
        spec["volumes"] = [*volumes, _token_volume(name)]


def _token_volume(name: str) -> Object:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                ]
            }
        },
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}


def _limit_secrets(a: AdmissionAttributes, account: Object, spec: Object) -> None:
    """If the account has the annotation, refuse secrets that the account does not list."""
    who = account["metadata"]["name"]
    mountable = {ref.get("name") for ref in account.get("secrets") or []}
    tail = f"is not allowed because service account {who} does not reference that"
    for volume in spec.get("volumes") or []:
        secret = (volume.get("secret") or {}).get("secretName")
        if secret and secret not in mountable:
            raise a.refuse(f'volume with secret.secretName="{secret}" {tail} secret')
    for kind, what in (
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ):
        for container in spec.get(kind) or []:
            for text in _secrets_of(container, mountable):
                raise a.refuse(f"{what} {container.get('name', '')} with {text} {tail} secret")
    pullable = {ref.get("name") for ref in account.get("imagePullSecrets") or []}
    for index, ref in enumerate(spec.get("imagePullSecrets") or []):
        if ref.get("name") not in pullable:
            raise a.refuse(f'imagePullSecrets[{index}].name="{ref.get("name", "")}" {tail} imagePullSecret')


def _secrets_of(container: Object, allowed: set[Any]) -> list[str]:
    out = []
    for env in container.get("env") or []:
        ref = (env.get("valueFrom") or {}).get("secretKeyRef")
        if ref and ref.get("name") not in allowed:
            out.append(f'envVar {env.get("name", "")} referencing secret.secretName="{ref.get("name", "")}"')
    for source in container.get("envFrom") or []:
        ref = source.get("secretRef")
        if ref and ref.get("name") not in allowed:
            out.append(f'envFrom referencing secret.secretName="{ref.get("name", "")}"')
    return out
