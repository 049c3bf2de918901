"""Every cause that the specs of pods can have besides those of their parts (pkg/apis/core/validation)."""

from hypothesis import given
from hypothesis import strategies as st
from pods import CONTAINER, POD, container, pod
from rules import at, below, changed, gives, put, table, valid

from pilothouse.api.validate.pod.resources import quality_of_service
from pilothouse.api.validate.pod.spec import validate_pod as NEW
from pilothouse.api.validate.pod.spec import validate_pod_spec, validate_pod_template
from pilothouse.api.values.fields import Errors

template = at({"template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}}, "template.spec")
dns = at(POD, "spec.dnsConfig", {})
EPHEMERAL = [{"name": "e", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}]
PORT = {"containerPort": 80, "protocol": "TCP"}

test_causes = table([
    *valid(NEW, POD, pod(resourceClaims=[{"name": "a", "resourceClaimName": "c"}]), dns(nameservers=["10.0.0.1"], searches=["a.b.", "_x.c", "."], options=[{"name": "ndots"}])),
    (NEW, pod(hostnameOverride="h")),
    (NEW, pod(initContainers=[{**CONTAINER, "name": "i", "restartPolicyRules": [{}]}]), "spec.initContainers[0].restartPolicy! : must specify restartPolicy when restart rules are used"),
    (NEW, container(restartPolicy="Never", restartPolicyRules=[{"exitCodes": {}}]), *below("spec.containers[0].restartPolicyRules[0]", '.action="" Restart|RestartAllContainers',
        '.exitCodes.operator="" In|NotIn')),
    (changed(validate_pod_template), (template(ephemeralContainers=[EPHEMERAL[0] | {"lifecycle": {}, "startupProbe": {}}]),) * 2,
        "template.spec.ephemeralContainers[0].startupProbe,lifecycle- : cannot be set for an Ephemeral Container",
        "template.spec.ephemeralContainers- : ephemeral containers not allowed in pod template"),
    (NEW, pod(restartPolicy="", dnsPolicy=""), "spec.restartPolicy,dnsPolicy!"),
    (NEW, pod(restartPolicy="Odd", dnsPolicy="Odd"), "spec.restartPolicy Always|OnFailure|Never", "spec.dnsPolicy ClusterFirstWithHostNet|ClusterFirst|Default|None"),
    (NEW, pod(ephemeralContainers=EPHEMERAL), "spec.ephemeralContainers- : cannot be set on create"),
    (NEW, pod(nodeName="n", schedulingGates=[{"name": "g"}]), "spec.nodeName- : cannot be set until all schedulingGates have been cleared"),
    (NEW, pod(resourceClaims=[{}, {"name": "A_", "resourceClaimName": "C_", "resourceClaimTemplateName": "t"}]), *below("spec.resourceClaims", "[0].name!",
        '[0]={"Name":"","ResourceClaimName":null,"ResourceClaimTemplateName":null} : must specify one of: `resourceClaimName`, `resourceClaimTemplateName`', "[1].name : <RFC 1123 label>",
        '[1]={"Name":"A_","ResourceClaimName":"C_","ResourceClaimTemplateName":"t"} : at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
        "[1].resourceClaimName : <RFC 1123 subdomain>")),
    (NEW, pod(resourceClaims=[{"name": "a", "resourceClaimName": "c"}] * 2), "spec.resourceClaims[1].name unique"),
    (NEW, put(pod(hostNetwork=True), {"spec.containers.0.ports": [PORT]}), "spec.containers[0].ports[0].hostPort=0 : must match `containerPort` when `hostNetwork` is true"),
    *valid(validate_pod_template, put(template(hostNetwork=True), {"template.spec.containers.0.ports": [PORT]}), template()),
    (NEW, pod(dnsPolicy="None"), "spec.dnsConfig! : must provide `dnsConfig` when `dnsPolicy` is None"),
    (NEW, pod(dnsPolicy="None", dnsConfig={}), "spec.dnsConfig.nameservers! : must provide at least one DNS nameserver when `dnsPolicy` is None"),
    (NEW, dns(nameservers=["x"] * 4, searches=["a"] * 33, options=[{}]), *below("spec.dnsConfig", ".nameservers : must not have more than 3 nameservers", ".nameservers[0],[1],[2],[3] : <IP address>",
        ".searches : must not have more than 32 search paths", ".options[0]! : must not be empty")),
    (NEW, dns(searches=["a" * 63 + "." + "b" * 63] * 17), "spec.dnsConfig.searches : must not have more than 2048 characters (including spaces) in the search list"),
    (NEW, pod(serviceAccountName="S_", nodeName="N_", activeDeadlineSeconds=0), "spec.serviceAccountName,nodeName : <RFC 1123 subdomain>", "spec.activeDeadlineSeconds 1..2147483647"),
    (NEW, pod(hostname="H_", subdomain="S_"), "spec.hostname,subdomain : <RFC 1123 label>"),
    (NEW, pod(hostnameOverride="h" * 65, setHostnameAsFQDN=True, hostNetwork=True), "spec.hostnameOverride- : may not be specified when setHostnameAsFQDN is true",
        "spec.hostnameOverride- : may not be specified when hostNetwork is true", "spec.hostnameOverride max:64"),
    (NEW, pod(hostAliases=[{"ip": "x", "hostnames": ["H_"]}]), "spec.hostAliases[0].ip : <IP address>", "spec.hostAliases[0].hostnames[0] : <RFC 1123 subdomain>"),
    (NEW, pod(priorityClassName="P_", runtimeClassName="R_", preemptionPolicy="Odd"), "spec.priorityClassName,runtimeClassName : <RFC 1123 subdomain>",
        "spec.preemptionPolicy PreemptLowerPriority|Never"),
    (NEW, pod(overhead={"cpu": "-1"}), 'spec.overhead.limits[cpu]="-1" : <not negative>'),
    (validate_pod_template, template(ephemeralContainers=EPHEMERAL), "template.spec.ephemeralContainers- : ephemeral containers not allowed in pod template"),
    (changed(validate_pod_template), (template(hostname="H_"), template()), "template.spec.hostname : <RFC 1123 label>"),
    (NEW, pod(containers=[]), "spec.containers!"),
    (NEW, container(image=""), "spec.containers[0].image!"),
    (NEW, container(imagePullPolicy="Sometimes"), "spec.containers[0].imagePullPolicy Always|IfNotPresent|Never"),
    (NEW, container(volumeMounts=[{"name": "v", "mountPath": "/v"}]), 'spec.containers[0].volumeMounts[0].name: Not found: "v"'),
    (NEW, container(ports=[{"containerPort": 70000, "protocol": "TCP"}]), "spec.containers[0].ports[0].containerPort : <port>"),
    (NEW, container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}), 'spec.containers[0].resources.requests="2" : must be less than or equal to cpu limit of 1'),
    (NEW, container(env=[{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]), *below("spec.containers[0].env[0]", ".valueFrom.fieldRef.apiVersion!",
        '.valueFrom="" : may not be specified when `value` is not empty')),
    (NEW, pod(containers=[CONTAINER, CONTAINER]), "spec.containers[1].name unique"),
    (validate_pod_template, template(restartPolicy="Perhaps"), "template.spec.restartPolicy Always|OnFailure|Never"),
    (NEW, pod(tolerations=[{"operator": "Equal"}]), "spec.tolerations[0].operator : <key or Exists>"),
    (NEW, pod(tolerations=[{"key": "k", "operator": "Exists", "value": "v"}]), "spec.tolerations[0].operator=\"v\" : value must be empty when `operator` is 'Exists'"),
    (NEW, pod(tolerations=[{"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}]),
        "spec.tolerations[0].effect : effect must be 'NoExecute' when `tolerationSeconds` is set"),
    (NEW, pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
        "spec.affinity.nodeAffinity.<required>.nodeSelectorTerms! : must have at least one node selector term"),
])  # fmt: skip
test_quality_of_service = gives(lambda resources: quality_of_service(container(resources=resources)["spec"]), [
    ({}, "BestEffort"),
    ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1000m", "memory": "1"}}, "Guaranteed"),
])  # fmt: skip

_NAMES = st.text(alphabet="abc-_.A", max_size=6)


@given(name=_NAMES, port=st.integers(-5, 70000), cpu=st.sampled_from(["0", "1", "-1", "1m"]), key=_NAMES, mount=st.text(alphabet="/.a:", max_size=5))
def test_whatever_comes_is_judged_not_crashed(name: str, port: int, cpu: str, key: str, mount: str) -> None:
    odd = container(name=name, ports=[{"containerPort": port, "protocol": "TCP", "name": name}], resources={"limits": {"cpu": cpu}}, volumeMounts=[{"name": name, "mountPath": mount}])
    spec = {**odd["spec"], "nodeSelector": {key: name}, "volumes": [{"name": name, "emptyDir": {}}]}
    errs = Errors()
    validate_pod_spec(spec, "spec", errs)
    assert all(c["field"].startswith("spec") and c["message"] for c in errs.causes)
