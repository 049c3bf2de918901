"""Every warning that pods and templates can get (pkg/api/pod/warnings.go)."""

from pods import CONTAINER, annotated, container, pod
from rules import below, each, gives, put

from pilothouse.api.validate.pod.annotations import APPARMOR, SECCOMP_CONTAINER, SECCOMP_POD
from pilothouse.api.validate.pod.warnings import pod_warnings as warn
from pilothouse.api.validate.pod.warnings import template_warnings

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
BETA = "failure-domain.beta.kubernetes.io/zone"
TERM = {"matchExpressions": [{"key": BETA, "operator": "Gt", "values": ["x"]}]}
CLAIM = {"spec": {"resources": {"requests": {"storage": "1500m"}}}}
TOKEN = {"serviceAccountToken": {"path": "t"}}
projected = each(pod(volumes=[{"name": "v"}]), "spec.volumes.0.projected.sources")
ports = each(container(), "spec.containers.0.ports")
test_warnings = gives(warn, [
    (pod(), []),
    (put(pod(), {"metadata.name": "P_"}),
        ["metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')]"]),
    (pod(nodeSelector={BETA: "z"}), ['spec.nodeSelector[failure-domain.beta.kubernetes.io/zone]: deprecated since v1.17; use "topology.kubernetes.io/zone" instead']),
    (pod(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [TERM]}, PREFERRED: [{"preference": TERM}]}}),
        ['spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
        'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead']),
    (pod(topologySpreadConstraints=[{"topologyKey": BETA}]),
        ['spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"]),
    (annotated({"scheduler.alpha.kubernetes.io/critical-pod": ""}),
        ['metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead']),
    (annotated({SECCOMP_POD: "unconfined", SECCOMP_CONTAINER + "c": "unconfined"}),
        ['metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead',
        'metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use the "seccompProfile" field instead']),
    (pod(volumes=[{"name": "a", "gitRepo": {}}, {"name": "b", "storageos": {}}]), ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
        "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+"]),
    (pod(volumes=[{"name": "a", "ephemeral": {"volumeClaimTemplate": CLAIM}}]),
        ['spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer']),
    (projected(TOKEN, {"configMap": {"name": "m", "items": [{"path": "t/a"}]}}, {"secret": {"name": "s", "items": [{"path": "t/"}, {"path": "u"}]}}), below('volume "v" (Projected): overlapping paths: ',
        '"t/a" (ConfigMap "m") with "t" (ServiceAccountToken)', '"t" (Secret "s") with "t" (ServiceAccountToken)', '"t" (Secret "s") with "t/a" (ConfigMap "m")')),
    (projected(TOKEN, {"downwardAPI": {"items": [{"path": "t"}]}}, {"clusterTrustBundle": {"path": "t", "signerName": "a/b"}}, {"configMap": {"name": "m"}}), below('volume "v" (Projected): overlapping paths: ',
        '"t" (DownwardAPI) with "t" (ServiceAccountToken)', '"t" (ClusterTrustBundle "a/b") with "t" (ServiceAccountToken)', '"t" (ClusterTrustBundle "a/b") with "t" (DownwardAPI)')),
    (projected({"podCertificate": {"keyPath": "t", "certificateChainPath": "t/c"}}, {}), ['volume "v" (Projected) has no sources provided', 'volume "v" (Projected): overlapping paths: "t" (PodCertificate key) with "t/c" (PodCertificate chain)']),
    (pod(volumes=[{"name": "a", "configMap": {"name": "m", "items": [{"path": "p"}, {"path": "p/q"}]}}, {"name": "b", "secret": {"secretName": "s", "items": [{"path": "p"}, {"path": "p"}]}},
        {"name": "c", "downwardAPI": {"items": [{"path": "p/q"}, {"path": "p"}, {"path": "pq"}]}}]),
        ['volume "a" (ConfigMap "m"): overlapping paths: "p/q" with "p"', 'volume "b" (Secret "s"): overlapping paths: "p" with "p"', 'volume "c" (DownwardAPI): overlapping paths: "p" with "p/q"']),
    (pod(hostAliases=[{"ip": "10.0.0.1"}] * 2, imagePullSecrets=[{"name": "s"}, {"name": "s"}, {}]), ['spec.hostAliases[1].ip: duplicate ip "10.0.0.1"',
        'spec.imagePullSecrets[1].name: duplicate name "s"', 'spec.imagePullSecrets[2].name: invalid empty name ""']),
    (pod(overhead={"memory": "1500m"}), ['spec.overhead[memory]: fractional byte value "1500m" is invalid, must be an integer']),
    (container(resources={"limits": {"memory": "1500m"}, "requests": {"ephemeral-storage": "1500m"}}), below("spec.containers[0].resources",
        '.limits[memory]: fractional byte value "1500m" is invalid, must be an integer', '.requests[ephemeral-storage]: fractional byte value "1500m" is invalid, must be an integer')),
    (container(env=[{"name": "a", "value": "1"}, {"name": "a", "value": "$(a)2"}, {"name": "a", "value": "3"}]),
        ['spec.containers[0].env[2]: hides previous definition of "a", which may be dropped when using apply']),
    (ports({"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}), ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"]),
    (ports({"containerPort": 80, "protocol": "TCP", "hostIP": "10.0.0.1"}),
        ["spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:10.0.0.1}"]),
    (ports({"containerPort": 80, "hostPort": 1}, {"containerPort": 80, "hostPort": 1, "hostIP": "10.0.0.1"}),
        ["spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]"]),
    (pod(containers=[{**CONTAINER, "name": n, "ports": [{"name": "p", "containerPort": i}]} for i, n in enumerate("ab")]),
        ['spec.containers[1].ports[0]: duplicate port name "p" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]']),
    (pod(terminationGracePeriodSeconds=-1), ["spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"]),
    (pod(affinity={"podAffinity": {REQUIRED: [{}], PREFERRED: [{}]}}),
        ["spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null labelSelector results in matching no pod",
        "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod"]),
    (pod(dnsConfig={"nameservers": ["010.0.0.1"]}, hostAliases=[{"ip": "::ffff:10.0.0.1"}]), ['spec.dnsConfig.nameservers[0]: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"',
        'spec.hostAliases[0].ip: non-standard IP address "::ffff:10.0.0.1" is invalid: use "10.0.0.1"']),
    (container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply']),
])  # fmt: skip


def test_clashing_ports_are_told_in_their_order() -> None:
    found = [(0, ""), (80, ""), (80, "1.1.1.1"), (81, ""), (80, ""), (0, "")]
    told = [text.partition(".ports")[2].replace("spec.containers[0].ports", "") for text in warn(ports(*({"hostPort": p, "hostIP": h} for p, h in found)))]
    same, overlaps, ambiguous = (f"[{{}}]: {what} port definition with [{{}}]" for what in ("duplicate", "overlapping", "dangerously ambiguous"))
    pairs = [(overlaps, 1, 0), (overlaps, 2, 0), (ambiguous, 2, 1), (overlaps, 3, 0), (overlaps, 4, 0), (same, 4, 1), (ambiguous, 4, 2), (same, 5, 0)]
    assert told == [form.format(*pair) for form, *pair in [*pairs, *((overlaps, 5, i) for i in (1, 2, 3, 4))]]


PROFILED = annotated({APPARMOR + "c": "unconfined"})
test_profiles_of_templates = gives(lambda pod: template_warnings(pod, "spec.template"), [
    (PROFILED, [f'spec.template.metadata.annotations[{APPARMOR}c]: deprecated since v1.30; use the "appArmorProfile" field instead'])])  # fmt: skip
test_profiles_of_pods = gives(warn, [(PROFILED, [])])
