"""How messages print values of upstream's types; the first template and claim are as kube-apiserver v1.36 has answered."""

import json

from pilothouse.api.validate import shown


def test_maps_are_in_order() -> None:
    assert list(shown.sorted_map({"b": 1, "a": 2}) or {}) == ["a", "b"]
    assert (shown.sorted_map({}), shown.sorted_map(None)) == ({}, None)


def test_label_selectors_leave_out_what_is_empty() -> None:
    assert shown.label_selector(None) is None
    assert shown.label_selector({"matchLabels": {}}) == {}
    expression = {"key": "a", "operator": "In", "values": ["b"]}
    whole = {"matchLabels": {"a": "b"}, "matchExpressions": [expression, {"operator": "Exists", "key": "c"}]}
    assert shown.label_selector(whole) == whole


def test_node_selector_terms_have_the_names_of_go() -> None:
    assert shown.go(None, "api.core.v1.NodeSelectorTerm") is None
    term = {"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}
    requirement = {"Key": "a", "Operator": "In", "Values": ["b"]}
    terms = [{"MatchExpressions": None, "MatchFields": [requirement]}]
    assert shown.go([term], "api.core.v1.NodeSelectorTerm") == terms


def test_structs_without_pointers_in_the_internal_type() -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {}}
    rolling = {"MaxUnavailable": 0, "MaxSurge": 0}
    assert shown.go(strategy, "api.apps.v1.DeploymentStrategy") == {"Type": "RollingUpdate", "RollingUpdate": rolling}


def test_sources_of_volumes_have_names_of_their_own() -> None:
    for owner in ("RBDVolumeSource", "RBDPersistentVolumeSource"):
        names = list(shown.go({}, f"api.core.v1.{owner}"))
        assert names[:2] + names[3:5] == ["CephMonitors", "RBDImage", "RBDPool", "RadosUser"]
    assert list(shown.go({}, "api.core.v1.CephFSVolumeSource"))[:3] == ["Monitors", "Path", "User"]
    iscsi = list(shown.go({}, "api.core.v1.ISCSIVolumeSource"))
    assert iscsi[-4:] == ["DiscoveryCHAPAuth", "SessionCHAPAuth", "SecretRef", "InitiatorName"]


CONTAINER = (
    '{"Name":"c","Image":"busybox","Command":null,"Args":null,"WorkingDir":"","Ports":null,"EnvFrom":null,"Env":null,'
    '"Resources":{"Limits":null,"Requests":null,"Claims":null},"ResizePolicy":null,"RestartPolicy":null,'
    '"RestartPolicyRules":null,"VolumeMounts":null,"VolumeDevices":null,"LivenessProbe":null,"ReadinessProbe":null,'
    '"StartupProbe":null,"Lifecycle":null,"TerminationMessagePath":"/dev/termination-log","TerminationMessagePolicy":"File","ImagePullPolicy":"Always","SecurityContext":null,"Stdin":false,'
    '"StdinOnce":false,"TTY":false}'
)
CONTEXT = (
    '{"HostNetwork":false,"HostPID":false,"HostIPC":false,"ShareProcessNamespace":null,"HostUsers":null,'
    '"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,'
    '"SupplementalGroups":null,"SupplementalGroupsPolicy":null,"FSGroup":null,"FSGroupChangePolicy":null,"Sysctls":null,"SeccompProfile":null,"AppArmorProfile":null,"SELinuxChangePolicy":null}'
)


def text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def test_a_pod_template() -> None:
    container = {"name": "c", "image": "busybox", "resources": {}, "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    spec = {"containers": [container], "restartPolicy": "Never", "dnsPolicy": "ClusterFirst", "securityContext": {}, "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler"}
    owner = {"uid": "u1", "kind": "User", "name": "web", "apiVersion": "v1"}
    metadata = {"labels": {"b": "2", "a": "1"}, "deletionGracePeriodSeconds": 0, "ownerReferences": [owner]}
    assert text(shown.go({"metadata": metadata, "spec": spec}, "api.core.v1.PodTemplateSpec")) == (
        '{"deletionGracePeriodSeconds":0,"labels":{"a":"1","b":"2"},"ownerReferences":[{"apiVersion":"v1","kind":"User","name":"web","uid":"u1"}],'
        f'"Spec":{{"Volumes":null,"InitContainers":null,"Containers":[{CONTAINER}],"EphemeralContainers":null,'
        '"RestartPolicy":"Never","TerminationGracePeriodSeconds":30,"ActiveDeadlineSeconds":null,'
        '"DNSPolicy":"ClusterFirst","NodeSelector":null,"ServiceAccountName":"","AutomountServiceAccountToken":null,'
        f'"NodeName":"","SecurityContext":{CONTEXT},"ImagePullSecrets":null,"Hostname":"","Subdomain":"",'
        '"SetHostnameAsFQDN":null,"Affinity":null,"SchedulerName":"default-scheduler","Tolerations":null,'
        '"HostAliases":null,"PriorityClassName":"","Priority":null,"PreemptionPolicy":null,"DNSConfig":null,"ReadinessGates":null,"RuntimeClassName":null,"Overhead":null,"EnableServiceLinks":null,'
        '"TopologySpreadConstraints":null,"OS":null,"SchedulingGates":null,"ResourceClaims":null,"Resources":null,"HostnameOverride":null,"SchedulingGroup":null}}'
    )


def test_members_of_nested_types() -> None:
    variable, probe = {"name": "e", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"httpGet": {"port": "http"}}
    container = {"name": "c", "env": [variable], "livenessProbe": probe, "resources": {"limits": {"memory": "1Gi", "cpu": "1"}}}
    out = shown.go({"containers": [container], "hostNetwork": True}, "api.core.v1.PodSpec")
    container = out["Containers"][0]
    assert text(container["Env"]) == (
        '[{"Name":"e","Value":"","ValueFrom":{"FieldRef":{"APIVersion":"","FieldPath":"metadata.name"},"ResourceFieldRef":null,"ConfigMapKeyRef":null,"SecretKeyRef":null,"FileKeyRef":null}}]'
    )
    assert text(container["LivenessProbe"]) == (
        '{"Exec":null,"HTTPGet":{"Path":"","Port":"http","Host":"","Scheme":"","HTTPHeaders":null},"TCPSocket":null,'
        '"GRPC":null,"InitialDelaySeconds":0,"TimeoutSeconds":0,"PeriodSeconds":0,"SuccessThreshold":0,"FailureThreshold":0,"TerminationGracePeriodSeconds":null}'
    )
    assert text(container["Resources"]["Limits"]) == '{"cpu":"1","memory":"1Gi"}'
    assert out["SecurityContext"]["HostNetwork"] is True and "HostNetwork" not in out
    assert shown.go({}, "api.core.v1.PodSpec")["SecurityContext"] is None


EXACTLY = {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}


def test_a_claim() -> None:
    requests = [{"name": "r", "exactly": EXACTLY}, {"name": "f", "firstAvailable": [{"name": "s", **EXACTLY}]}]
    devices = {
        "requests": requests,
        "constraints": [{"requests": ["r"], "matchAttribute": "d.example.com/model"}],
        "config": [{"requests": ["r"], "opaque": {"driver": "d.example.com", "parameters": {"a": "b"}}}],
    }
    assert text(shown.go({"devices": devices}, "api.resource.v1.ResourceClaimSpec")) == (
        '{"Devices":{"Requests":[{"Name":"r","Exactly":{"DeviceClassName":"c","Selectors":null,"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null},'
        '"FirstAvailable":null},{"Name":"f","Exactly":null,"FirstAvailable":[{"Name":"s","DeviceClassName":"c",'
        '"Selectors":null,"AllocationMode":"ExactCount","Count":1,"Tolerations":null,"Capacity":null}]}],'
        '"Constraints":[{"Requests":["r"],"MatchAttribute":"d.example.com/model","DistinctAttribute":null}],"Config":[{"Requests":["r"],"Opaque":{"Driver":"d.example.com","Parameters":{"a":"b"}}}]}}'
    )


def test_what_is_below_a_request() -> None:
    exactly = {
        "selectors": [{"cel": {"expression": "true"}}, {}],
        "adminAccess": True,
        "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 3}],
        "capacity": {"requests": {"b": "1", "a": "2"}},
    }
    spec = {"devices": {"requests": [{"exactly": exactly}], "config": [{}]}}
    out = shown.go({"metadata": {"labels": {"b": "", "a": ""}}, "spec": spec}, "api.resource.v1.ResourceClaimTemplateSpec")
    assert list(out["labels"]) == ["a", "b"]
    found = out["Spec"]["Devices"]["Requests"][0]["Exactly"]
    assert found["Selectors"] == [{"CEL": {"Expression": "true"}}, {"CEL": None}] and found["AdminAccess"]
    assert found["Tolerations"] == [{"Key": "k", "Operator": "Exists", "Value": "", "Effect": "", "TolerationSeconds": 3}]
    assert list(found["Capacity"]["Requests"]) == ["a", "b"]
    assert out["Spec"]["Devices"]["Config"] == [{"Requests": None, "Opaque": None}]
