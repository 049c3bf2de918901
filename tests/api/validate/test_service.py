"""Every cause that services can have (pkg/apis/core/validation)."""

from rules import GONE, at, below, gives, put, table, valid

from pilothouse.api.validate import service as rules
from pilothouse.api.validate.service_update import validate_service_status_update, validate_service_update
from pilothouse.api.values.fields import Object

NEW, UPDATE, STATUS = rules.validate_service, validate_service_update, validate_service_status_update
PORT = {"port": 80, "protocol": "TCP", "targetPort": 80}
ADDRESS = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
BASE: Object = {"metadata": {"name": "s"}, "spec": {"type": "ClusterIP", "ports": [PORT], "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", **ADDRESS}}
of = at(BASE, "spec")
balanced = at(of(type="LoadBalancer", externalTrafficPolicy="Cluster", allocateLoadBalancerNodePorts=True), "spec")


def ips(*listed: str, **spec: object) -> Object:
    return of(clusterIP=listed[0] if listed else "", clusterIPs=list(listed), **spec)


def ingress(*entries: Object, kind: str = "LoadBalancer") -> tuple[Object, Object]:
    return {"spec": {"type": kind}, "status": {"loadBalancer": {"ingress": list(entries)}}}, {}


DUAL = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}

test_causes = table([
    *valid(NEW, BASE, of(type="ExternalName", externalName="example.com.", internalTrafficPolicy=GONE, clusterIPs=[], ipFamilies=[], ipFamilyPolicy=None)),
    *valid(NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10_800}}), balanced()),
    (NEW, of(ports=[]), "spec.ports!"),
    (NEW, of(type=""), "spec.type!"),
    (NEW, of(type="Odd"), "spec.type ClusterIP|ExternalName|LoadBalancer|NodePort"),
    (NEW, put(BASE, {"metadata.annotations": {rules.TOPOLOGY_HINTS: "Auto", rules.TOPOLOGY_MODE: "Off"}}),
        "metadata.annotations[service.kubernetes.io/topology-mode] : must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified"),
    (NEW, ips("None", type="NodePort", externalTrafficPolicy="Cluster"), "spec.clusterIPs[0] : may not be set to 'None' for NodePort services"),
    (NEW, {"metadata": {}, "spec": {"type": "ExternalName", "externalName": "A_", "sessionAffinity": "None"}}, "spec.externalName : <RFC 1123 subdomain>"),
    (NEW, of(ports=[{"port": 0}, {**PORT, "name": "a", "protocol": "X"}, {**PORT, "name": "a", "targetPort": "-"}]), *below("spec.ports", "[0].name!", "[0].port : <port>", "[0].protocol!",
        "[0].targetPort=0 : <port>", "[1].protocol SCTP|TCP|UDP", "[2].name unique", "[2].targetPort : must contain at least one letter (a-z)",
        "[2].targetPort : must not begin or end with a hyphen")),
    (NEW, of(ports=[{**PORT, "name": "A_", "appProtocol": "a b", "targetPort": 70_000}]), *below("spec.ports[0]", ".name : <RFC 1123 label>", ".targetPort : <port>", ".appProtocol : <name part>")),
    (NEW, of(ports=[{**PORT, "name": "a"}, {**PORT, "name": "b"}]), 'spec.ports[1]={"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0} unique'),
    (NEW, of(ports=[{**PORT, "nodePort": 30_000}]), "spec.ports[0].nodePort- : may not be used when `type` is 'ClusterIP'"),
    (NEW, of(type="NodePort", externalTrafficPolicy="Cluster", ports=[{**PORT, "name": "a", "nodePort": 30_000}, {**PORT, "port": 81, "name": "b", "nodePort": 30_000}]),
        "spec.ports[1].nodePort unique"),
    (NEW, of(selector={"a b": "-"}), 'spec.selector="a b" : <name part>', 'spec.selector="-" : <label value>'),
    (NEW, of(sessionAffinity=""), "spec.sessionAffinity!"),
    (NEW, of(sessionAffinity="Odd"), "spec.sessionAffinity ClientIP|None"),
    (NEW, of(sessionAffinityConfig={}), "spec.sessionAffinityConfig- : must not be set when session affinity is None"),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig=None), "spec.sessionAffinityConfig! : when session affinity type is ClientIP"),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={}), "spec.sessionAffinityConfig.clientIP! : when session affinity type is ClientIP"),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {}}), "spec.sessionAffinityConfig.clientIP.timeoutSeconds! : when session affinity type is ClientIP"),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 86_401}}),
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds : must be greater than 0 and less than 86400"),
    (NEW, of(clusterIPs=[]), "spec.clusterIPs!"),
    (NEW, of(clusterIP="10.0.0.2"), "spec.clusterIPs : first value must match `clusterIP`"),
    (NEW, of(clusterIP=""), "spec.clusterIPs : must be empty when `clusterIP` is not specified"),
    (NEW, of(ipFamilies=["IPv4", "IPv4", "IPv5"], ipFamilyPolicy="Odd"), "spec.ipFamilies[1] unique", "spec.ipFamilies[2] IPv4|IPv6",
        "spec.ipFamilyPolicy PreferDualStack|RequireDualStack|SingleStack"),
    (NEW, ips("None", "10.0.0.1"), "spec.clusterIPs : 'None' must be the first and only value"),
    (NEW, ips("x"), "spec.clusterIPs[0] : <IP address>"),
    (NEW, ips("10.0.0.1", "fd00::1", "fd00::2"), "spec.clusterIPs : may only hold up to 2 values"),
    (NEW, ips("10.0.0.1", "10.0.0.2"), "spec.clusterIPs : may specify no more than one IP for each IP family"),
    (NEW, ips("fd00::1"), "spec.clusterIPs[0] : expected an IPv4 value as indicated by `ipFamilies[0]`"),
    (NEW, of(externalIPs=["0.0.0.0", "127.0.0.1", "169.254.0.1", "224.0.0.1", "::", "ff02::1", "x"], externalTrafficPolicy="Cluster"),
        *below("spec.externalIPs", "[0] : may not be unspecified (0.0.0.0)", "[1] : may not be in the loopback range (127.0.0.0/8, ::1/128)",
        "[2] : may not be in the link-local range (169.254.0.0/16, fe80::/10)", "[3] : may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)", "[4] : may not be unspecified (::)",
        "[5] : may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)", "[6] : <IP address>")),
    *valid(UPDATE, (of(externalIPs=["010.0.0.1"], externalTrafficPolicy="Cluster"), of(externalIPs=["010.0.0.1"])), (BASE, BASE), (ips("None"), ips("None"))),
    (UPDATE, (ips("10.0.0.1"), ips("10.0.0.1", "fd00::1", **DUAL))),
    (NEW, of(type="LoadBalancer", externalTrafficPolicy="Cluster"), "allocateLoadBalancerNodePorts!"),
    (NEW, of(allocateLoadBalancerNodePorts=False, loadBalancerClass="a/b", loadBalancerSourceRanges=["10.0.0.0/8"]),
        "spec.LoadBalancerSourceRanges,allocateLoadBalancerNodePorts,loadBalancerClass- : may only be used when `type` is 'LoadBalancer'"),
    (NEW, balanced(loadBalancerClass="a b", loadBalancerSourceRanges=[" 10.0.0.0/8 ", "x"]), 'spec.LoadBalancerSourceRanges[1]="x" : <CIDR>', "spec.loadBalancerClass : <name part>"),
    (NEW, put(BASE, {"metadata.annotations": {rules.SOURCE_RANGES: " 10.0.0.0/8, x"}}),
        *below("metadata.annotations[service.beta.kubernetes", ".io/load-balancer-source-ranges]- : may only be used when `type` is 'LoadBalancer'", '.io/load-balancer-source-ranges]="x" : <CIDR>')),
    (NEW, balanced(externalTrafficPolicy=""), "spec.externalTrafficPolicy!"),
    (NEW, balanced(externalTrafficPolicy="Odd"), "spec.externalTrafficPolicy Cluster|Local"),
    (NEW, of(externalTrafficPolicy="Local", healthCheckNodePort=1), "spec.externalTrafficPolicy : may only be set for externally-accessible services",
        "spec.healthCheckNodePort : may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"),
    (NEW, balanced(externalTrafficPolicy="Local"), "spec.healthCheckNodePort!"),
    (NEW, balanced(externalTrafficPolicy="Local", healthCheckNodePort=70_000), "spec.healthCheckNodePort : <port>"),
    (NEW, of(internalTrafficPolicy=None), "spec.internalTrafficPolicy!"),
    (NEW, of(internalTrafficPolicy="Odd", trafficDistribution="Odd"), "spec.internalTrafficPolicy Cluster|Local", "spec.trafficDistribution PreferClose|PreferSameZone|PreferSameNode"),
    (UPDATE, (ips("10.0.0.2"), BASE), 'spec.clusterIPs[0]=["10.0.0.2"] : may not change once set'),
    (UPDATE, (ips(), BASE), "spec.clusterIPs[0]=null : primary clusterIP can not be unset"),
    (UPDATE, (ips("10.0.0.2", ipFamilyPolicy="PreferDualStack"), ips("10.0.0.1", "fd00::1", **DUAL)), 'spec.clusterIPs[0]=["10.0.0.2"] : may not change once set',
        "spec.ipFamilyPolicy : must be set to 'SingleStack' when releasing the secondary clusterIP", "spec.ipFamilyPolicy : must be set to 'SingleStack' when releasing the secondary ipFamily"),
    (UPDATE, (ips("10.0.0.2", "fd00::1", **DUAL), BASE), 'spec.clusterIPs[0]=["10.0.0.2","fd00::1"] : may not change once set'),
    (UPDATE, (ips("fd00::1", ipFamilies=["IPv6"]), BASE), 'spec.clusterIPs[0]=["fd00::1"] : may not change once set', 'spec.ipFamilies[0]=["IPv6"] : may not change once set'),
    (UPDATE, (ips("fd00::1", ipFamilies=["IPv6"], ipFamilyPolicy=None), ips("10.0.0.1", "fd00::1", **DUAL)), 'spec.clusterIPs[0]=["fd00::1"] : may not change once set',
        "spec.ipFamilyPolicy : must be set to 'SingleStack' when releasing the secondary clusterIP", 'spec.ipFamilies[0]=["fd00::1"] : may not change once set',
        "spec.ipFamilyPolicy : must be set to 'SingleStack' when releasing the secondary ipFamily"),
    (UPDATE, (ips("fd00::1", "10.0.0.1", ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="PreferDualStack"), BASE), 'spec.clusterIPs[0],ipFamilies[0]=["fd00::1","10.0.0.1"] : may not change once set'),
    (UPDATE, (balanced(loadBalancerClass="a/c"), balanced(loadBalancerClass="a/b")), "spec.loadBalancerClass : may not change once set"),
    (UPDATE, (balanced(externalTrafficPolicy="Local", healthCheckNodePort=2), balanced(externalTrafficPolicy="Local", healthCheckNodePort=1)), "spec.healthCheckNodePort- : field is immutable"),
    (STATUS, ingress({"ip": "10.0.0.1", "ipMode": "VIP"}, {"hostname": "a.b"})),
    (STATUS, ingress({"ip": "10.0.0.1"}, kind="ClusterIP"), "status.loadBalancer.ingress- : may only be used when `spec.type` is 'LoadBalancer'"),
    (STATUS, ingress({"ip": "x"}, {"ipMode": "VIP"}, {"ip": "10.0.0.1", "ipMode": "Odd"}), *below("status.loadBalancer.ingress", "[0].ip : <IP address>",
        "[0].ipMode! : must be specified when `ip` is set", "[1].ipMode- : may not be specified when `ip` is not set", "[2].ipMode Proxy|VIP")),
    (STATUS, ingress({"hostname": "A_"}, {"hostname": "10.0.0.1"}), *below("status.loadBalancer.ingress", "[0].hostname : <RFC 1123 subdomain>",
        "[1].hostname : must be a DNS name, not an IP address")),
    (NEW, of(type="ExternalName"), "spec.clusterIPs,ipFamilies,ipFamilyPolicy- : may not be set for ExternalName services", "spec.externalName!"),
    (NEW, of(externalIPs=["127.0.0.1"]), "spec.externalIPs[0] : may not be in the loopback range (127.0.0.0/8, ::1/128)", "spec.externalTrafficPolicy!"),
])  # fmt: skip
test_warnings = gives(rules.service_warnings, [
    (BASE, []),
    (ips("None", loadBalancerIP="10.0.0.1", externalIPs=["10.0.0.2"], sessionAffinity="ClientIP"), ["spec.loadBalancerIP is ignored for headless services",
        "spec.externalIPs is ignored for headless services", "spec.SessionAffinity is ignored for headless services"]),
    (of(externalIPs=["10.9.0.1"]), ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
    (of(externalIPs=["10.0.0.2"], trafficDistribution="PreferClose"), ["spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']),
    (of(type="ExternalName", externalIPs=["10.0.0.2"]), ['spec.externalIPs is ignored when spec.type is "ExternalName"']),
    (of(externalName="a.b", loadBalancerSourceRanges=["10.0.0.1/8"]),
        ['spec.loadBalancerSourceRanges[0]: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
        'spec.externalName is ignored when spec.type is not "ExternalName"']),
    (put(BASE, {"metadata.annotations": {rules.TOPOLOGY_HINTS: "Auto"}}),
        ["annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"]),
])  # fmt: skip
