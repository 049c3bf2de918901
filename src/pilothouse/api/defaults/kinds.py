"""Defaults per kind that a schema cannot express (upstream pkg/apis/*/v1/defaults.go).

The schema's own defaults, and the zero values of members that are always written, are set by decoding.
"""

from collections.abc import Callable

from pilothouse.api.defaults import core, others, workloads
from pilothouse.api.values.fields import Object

_BY_KIND: dict[tuple[str, str], Callable[[Object], None]] = {
    ("", "Pod"): core.pod,
    ("", "PodTemplate"): core.pod_template,
    ("", "ReplicationController"): workloads.replication_controller,
    ("", "Service"): core.service,
    ("", "Secret"): core.secret,
    ("", "Namespace"): core.namespace,
    ("", "Node"): core.node,
    ("", "PersistentVolume"): core.persistent_volume,
    ("", "PersistentVolumeClaim"): core.persistent_volume_claim,
    ("", "Endpoints"): core.endpoints,
    ("", "LimitRange"): core.limit_range,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.horizontal_pod_autoscaler,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): others.webhook_configuration,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): others.mutating_webhook_configuration,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): others.admission_policy,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): others.admission_policy,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): others.admission_policy_binding,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): others.admission_policy_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): others.custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): others.api_service,
    ("authentication.k8s.io", "TokenRequest"): others.token_request,
    ("discovery.k8s.io", "EndpointSlice"): others.endpoint_slice,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): others.flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): others.priority_level_configuration,
    ("networking.k8s.io", "NetworkPolicy"): others.network_policy,
    ("networking.k8s.io", "IngressClass"): others.ingress_class,
    ("rbac.authorization.k8s.io", "RoleBinding"): others.role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): others.role_binding,
    ("resource.k8s.io", "ResourceClaim"): others.resource_claim,
    ("resource.k8s.io", "ResourceClaimTemplate"): others.resource_claim_template,
    ("resource.k8s.io", "ResourceSlice"): others.resource_slice,
    ("resource.k8s.io", "DeviceTaintRule"): others.device_taint_rule,
    ("scheduling.k8s.io", "PriorityClass"): others.priority_class,
    ("storage.k8s.io", "StorageClass"): others.storage_class,
    ("storage.k8s.io", "CSIDriver"): others.csi_driver,
    ("storage.k8s.io", "VolumeAttachment"): others.volume_attachment,
}


_OF_SPECS = frozenset(
    (core.pod, workloads.deployment, workloads.replica_set, workloads.daemon_set, workloads.stateful_set)
)
"""Functions that set defaults in the spec alone."""


def apply(obj: Object, group: str, version: str, kind: str, kept: Object | None = None) -> None:
    """Set the defaults of upstream's defaulting functions for the kind, in place.

    kept: members that are shared with a stored object, which has its defaults and must not be changed.
    """
    function = _BY_KIND.get((group, kind))
    if function is not None and not (kept and "spec" in kept and function in _OF_SPECS):
        function(obj)
