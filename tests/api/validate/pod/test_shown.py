"""Pod templates as Go prints its internal types; the first is as kube-apiserver v1.36 has answered."""

import json

from pilothouse.api.validate.pod import shown

CONTAINER = (
    '{"Name":"c","Image":"busybox","Command":null,"Args":null,"WorkingDir":"","Ports":null,"EnvFrom":null,"Env":null,'
    '"Resources":{"Limits":null,"Requests":null,"Claims":null},"ResizePolicy":null,"RestartPolicy":null,'
    '"RestartPolicyRules":null,"VolumeMounts":null,"VolumeDevices":null,"LivenessProbe":null,"ReadinessProbe":null,'
    '"StartupProbe":null,"Lifecycle":null,"TerminationMessagePath":"/dev/termination-log",'
    '"TerminationMessagePolicy":"File","ImagePullPolicy":"Always","SecurityContext":null,"Stdin":false,'
    '"StdinOnce":false,"TTY":false}'
)
CONTEXT = (
    '{"HostNetwork":false,"HostPID":false,"HostIPC":false,"ShareProcessNamespace":null,"HostUsers":null,'
    '"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,'
    '"SupplementalGroups":null,"SupplementalGroupsPolicy":null,"FSGroup":null,"FSGroupChangePolicy":null,'
    '"Sysctls":null,"SeccompProfile":null,"AppArmorProfile":null,"SELinuxChangePolicy":null}'
)


def text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def test_a_template() -> None:
    container = {
        "name": "c",
        "image": "busybox",
        "resources": {},
        "imagePullPolicy": "Always",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
    }
    owner = {"uid": "u1", "kind": "User", "name": "web", "apiVersion": "v1"}
    metadata = {"labels": {"b": "2", "a": "1"}, "deletionGracePeriodSeconds": 0, "ownerReferences": [owner]}
    assert text(shown.template({"metadata": metadata, "spec": spec})) == (
        '{"deletionGracePeriodSeconds":0,"labels":{"a":"1","b":"2"},'
        '"ownerReferences":[{"apiVersion":"v1","kind":"User","name":"web","uid":"u1"}],'
        f'"Spec":{{"Volumes":null,"InitContainers":null,"Containers":[{CONTAINER}],"EphemeralContainers":null,'
        '"RestartPolicy":"Never","TerminationGracePeriodSeconds":30,"ActiveDeadlineSeconds":null,'
        '"DNSPolicy":"ClusterFirst","NodeSelector":null,"ServiceAccountName":"","AutomountServiceAccountToken":null,'
        f'"NodeName":"","SecurityContext":{CONTEXT},"ImagePullSecrets":null,"Hostname":"","Subdomain":"",'
        '"SetHostnameAsFQDN":null,"Affinity":null,"SchedulerName":"default-scheduler","Tolerations":null,'
        '"HostAliases":null,"PriorityClassName":"","Priority":null,"PreemptionPolicy":null,"DNSConfig":null,'
        '"ReadinessGates":null,"RuntimeClassName":null,"Overhead":null,"EnableServiceLinks":null,'
        '"TopologySpreadConstraints":null,"OS":null,"SchedulingGates":null,"ResourceClaims":null,"Resources":null,'
        '"HostnameOverride":null,"SchedulingGroup":null}}'
    )


def test_members_of_nested_types() -> None:
    spec = {
        "containers": [
            {
                "name": "c",
                "env": [{"name": "e", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "livenessProbe": {"httpGet": {"port": "http"}},
                "resources": {"limits": {"memory": "1Gi", "cpu": "1"}},
            }
        ],
        "hostNetwork": True,
    }
    out = shown.pod_spec(spec)
    container = out["Containers"][0]
    assert text(container["Env"]) == (
        '[{"Name":"e","Value":"","ValueFrom":{"FieldRef":{"APIVersion":"","FieldPath":"metadata.name"},'
        '"ResourceFieldRef":null,"ConfigMapKeyRef":null,"SecretKeyRef":null,"FileKeyRef":null}}]'
    )
    assert text(container["LivenessProbe"]) == (
        '{"Exec":null,"HTTPGet":{"Path":"","Port":"http","Host":"","Scheme":"","HTTPHeaders":null},"TCPSocket":null,'
        '"GRPC":null,"InitialDelaySeconds":0,"TimeoutSeconds":0,"PeriodSeconds":0,"SuccessThreshold":0,'
        '"FailureThreshold":0,"TerminationGracePeriodSeconds":null}'
    )
    assert text(container["Resources"]["Limits"]) == '{"cpu":"1","memory":"1Gi"}'
    assert out["SecurityContext"]["HostNetwork"] is True and "HostNetwork" not in out
    assert shown.pod_spec({})["SecurityContext"] is None
