"""Defaults of the smaller API groups."""

import datetime

from pilothouse.api.defaults.core import each, fill, fill_empty, volume_spec
from pilothouse.api.values.fields import Object

RBAC_GROUP = "rbac.authorization.k8s.io"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def webhook_configuration(obj: Object) -> None:
    for webhook in each(obj, "webhooks"):
        _webhook(webhook)


def mutating_webhook_configuration(obj: Object) -> None:
    for webhook in each(obj, "webhooks"):
        _webhook(webhook)
        fill(webhook, reinvocationPolicy="Never")


def _webhook(webhook: Object) -> None:
    fill(webhook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
    fill(webhook, namespaceSelector={}, objectSelector={})
    _rules(webhook, "rules")
    _service_reference(webhook["clientConfig"].get("service"))


def _rules(owner: Object, *names: str) -> None:
    for rule in each(owner, *names):
        fill(rule, scope="*")


def _service_reference(reference: Object | None) -> None:
    if reference is not None:
        fill(reference, port=443)


def _match_resources(match: Object | None) -> None:
    if match is not None:
        fill(match, matchPolicy="Equivalent", namespaceSelector={}, objectSelector={})
        _rules(match, "resourceRules", "excludeResourceRules")


def admission_policy(obj: Object) -> None:
    fill(obj["spec"], failurePolicy="Fail")
    _match_resources(obj["spec"].get("matchConstraints"))


def admission_policy_binding(obj: Object) -> None:
    _match_resources(obj["spec"].get("matchResources"))


def custom_resource_definition(obj: Object) -> None:
    spec = obj["spec"]
    names = spec["names"]
    if names.get("kind"):
        fill_empty(names, singular=names["kind"].lower(), listKind=names["kind"] + "List")
    fill(spec, conversion={"strategy": "None"})
    client = (spec["conversion"].get("webhook") or {}).get("clientConfig") or {}
    _service_reference(client.get("service"))
    if not obj["status"].get("storedVersions"):
        stored = [version["name"] for version in each(spec, "versions") if version.get("storage")]
        if stored:
            obj["status"]["storedVersions"] = stored[:1]


def api_service(obj: Object) -> None:
    _service_reference(obj["spec"].get("service"))


def token_request(obj: Object) -> None:
    fill(obj["spec"], expirationSeconds=3600)


def endpoint_slice(obj: Object) -> None:
    for port in each(obj, "ports"):
        fill(port, name="", protocol="TCP")


def flow_schema(obj: Object) -> None:
    fill_empty(obj["spec"], matchingPrecedence=1000)


def priority_level_configuration(obj: Object) -> None:
    spec = obj["spec"]
    if spec.get("exempt") is not None:
        fill(spec["exempt"], nominalConcurrencyShares=0, lendablePercent=0)
    limited = spec.get("limited")
    if limited is not None:
        fill(limited, nominalConcurrencyShares=30, lendablePercent=0)
        queuing = limited["limitResponse"].get("queuing")
        if queuing is not None:
            fill_empty(queuing, queues=64, handSize=8, queueLengthLimit=50)


def network_policy(obj: Object) -> None:
    spec = obj["spec"]
    for rule in each(spec, "ingress", "egress"):
        for port in each(rule, "ports"):
            fill(port, protocol="TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def ingress_class(obj: Object) -> None:
    parameters = obj["spec"].get("parameters")
    if parameters is not None:
        fill(parameters, scope="Cluster")


def role_binding(obj: Object) -> None:
    fill_empty(obj["roleRef"], apiGroup=RBAC_GROUP)
    for subject in each(obj, "subjects"):
        if subject["kind"] in ("User", "Group"):
            fill_empty(subject, apiGroup=RBAC_GROUP)


def resource_claim(obj: Object) -> None:
    _claim_spec(obj["spec"])


def resource_claim_template(obj: Object) -> None:
    _claim_spec(obj["spec"]["spec"])


def _claim_spec(spec: Object) -> None:
    for request in each(spec["devices"], "requests"):
        if "exactly" in request:
            _device_request(request["exactly"])
        elif "deviceClassName" in request and "firstAvailable" not in request:
            _device_request(request)  # v1beta1 has no `exactly`
        for alternative in each(request, "firstAvailable"):
            _device_request(alternative)


def _device_request(request: Object) -> None:
    fill_empty(request, allocationMode="ExactCount")
    if request["allocationMode"] == "ExactCount":
        fill_empty(request, count=1)


def resource_slice(obj: Object) -> None:
    for device in each(obj["spec"], "devices"):
        for taint in each(device.get("basic") or device, "taints"):
            fill(taint, timeAdded=_now())


def device_taint_rule(obj: Object) -> None:
    fill(obj["spec"]["taint"], timeAdded=_now())


def priority_class(obj: Object) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


def storage_class(obj: Object) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def csi_driver(obj: Object) -> None:
    spec = obj["spec"]
    fill(
        spec,
        attachRequired=True,
        podInfoOnMount=False,
        storageCapacity=False,
        fsGroupPolicy="ReadWriteOnceWithFSType",
        requiresRepublish=False,
        seLinuxMount=False,
    )
    fill_empty(spec, volumeLifecycleModes=["Persistent"])


def volume_attachment(obj: Object) -> None:
    spec = obj["spec"]["source"].get("inlineVolumeSpec")
    if spec is not None:
        volume_spec(spec)
