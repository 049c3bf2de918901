"""Every cause that services can have (pkg/apis/core/validation)."""

from rules import GONE, at, below, gives, put, table

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
    (NEW, BASE, []),
    (NEW, of(ports=[]), ["spec.ports: Required value"]),
    (NEW, of(type=""), ["spec.type: Required value"]),
    (NEW, of(type="Odd"), ['spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    (NEW, put(BASE, {"metadata.annotations": {rules.TOPOLOGY_HINTS: "Auto", rules.TOPOLOGY_MODE: "Off"}}),
        ['metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Off": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified']),
    (NEW, ips("None", type="NodePort", externalTrafficPolicy="Cluster"), ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
    (NEW, of(type="ExternalName", externalName="example.com.", internalTrafficPolicy=GONE, clusterIPs=[], ipFamilies=[], ipFamilyPolicy=None), []),
    (NEW, {"metadata": {}, "spec": {"type": "ExternalName", "sessionAffinity": "None"}}, ["spec.externalName: Required value"]),
    (NEW, {"metadata": {}, "spec": {"type": "ExternalName", "externalName": "A_", "sessionAffinity": "None"}}, ['spec.externalName: Invalid value: "A_": <RFC 1123 subdomain>']),
    (NEW, of(ports=[{"port": 0}, {**PORT, "name": "a", "protocol": "X"}, {**PORT, "name": "a", "targetPort": "-"}]), ["spec.ports[0].name: Required value",
        "spec.ports[0].port: Invalid value: 0: <port>", "spec.ports[0].protocol: Required value", "spec.ports[0].targetPort: Invalid value: 0: <port>",
        'spec.ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"', 'spec.ports[2].name: Duplicate value: "a"',
        'spec.ports[2].targetPort: Invalid value: "-": must contain at least one letter (a-z)', 'spec.ports[2].targetPort: Invalid value: "-": must not begin or end with a hyphen']),
    (NEW, of(ports=[{**PORT, "name": "A_", "appProtocol": "a b", "targetPort": 70_000}]), ['spec.ports[0].name: Invalid value: "A_": <RFC 1123 label>',
        "spec.ports[0].targetPort: Invalid value: 70000: <port>", 'spec.ports[0].appProtocol: Invalid value: "a b": <name part>']),
    (NEW, of(ports=[{**PORT, "name": "a"}, {**PORT, "name": "b"}]), ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}']),
    (NEW, of(ports=[{**PORT, "nodePort": 30_000}]), ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    (NEW, of(type="NodePort", externalTrafficPolicy="Cluster", ports=[{**PORT, "name": "a", "nodePort": 30_000}, {**PORT, "port": 81, "name": "b", "nodePort": 30_000}]),
        ["spec.ports[1].nodePort: Duplicate value: 30000"]),
    (NEW, of(selector={"a b": "-"}), ['spec.selector: Invalid value: "a b": <name part>', 'spec.selector: Invalid value: "-": <label value>']),
    (NEW, of(sessionAffinity=""), ["spec.sessionAffinity: Required value"]),
    (NEW, of(sessionAffinity="Odd"), ['spec.sessionAffinity: Unsupported value: "Odd": supported values: "ClientIP", "None"']),
    (NEW, of(sessionAffinityConfig={}), ["spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"]),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig=None), ["spec.sessionAffinityConfig: Required value: when session affinity type is ClientIP"]),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={}), ["spec.sessionAffinityConfig.clientIP: Required value: when session affinity type is ClientIP"]),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {}}), ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Required value: when session affinity type is ClientIP"]),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 86_401}}), ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"]),
    (NEW, of(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10_800}}), []),
    (NEW, of(clusterIPs=[]), ["spec.clusterIPs: Required value"]),
    (NEW, of(clusterIP="10.0.0.2"), ['spec.clusterIPs: Invalid value: ["10.0.0.1"]: first value must match `clusterIP`']),
    (NEW, of(clusterIP=""), ['spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not specified']),
    (NEW, of(ipFamilies=["IPv4", "IPv4", "IPv5"], ipFamilyPolicy="Odd"), ['spec.ipFamilies[1]: Duplicate value: "IPv4"',
        'spec.ipFamilies[2]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"',
        'spec.ipFamilyPolicy: Unsupported value: "Odd": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"']),
    (NEW, ips("None", "10.0.0.1"), ['spec.clusterIPs: Invalid value: ["None","10.0.0.1"]: \'None\' must be the first and only value']),
    (NEW, ips("x"), ['spec.clusterIPs[0]: Invalid value: "x": <IP address>']),
    (NEW, ips("10.0.0.1", "fd00::1", "fd00::2"), ['spec.clusterIPs: Invalid value: ["10.0.0.1","fd00::1","fd00::2"]: may only hold up to 2 values']),
    (NEW, ips("10.0.0.1", "10.0.0.2"), ['spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family']),
    (NEW, ips("fd00::1"), ['spec.clusterIPs[0]: Invalid value: "fd00::1": expected an IPv4 value as indicated by `ipFamilies[0]`']),
    (NEW, of(externalIPs=["0.0.0.0", "127.0.0.1", "169.254.0.1", "224.0.0.1", "::", "ff02::1", "x"], externalTrafficPolicy="Cluster"), below("spec.externalIPs",
        '[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)', '[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        '[2]: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
        '[3]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)', '[4]: Invalid value: "::": may not be unspecified (::)',
        '[5]: Invalid value: "ff02::1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)', '[6]: Invalid value: "x": <IP address>')),
    (UPDATE, (of(externalIPs=["010.0.0.1"], externalTrafficPolicy="Cluster"), of(externalIPs=["010.0.0.1"])), []),
    (NEW, balanced(), []),
    (NEW, of(type="LoadBalancer", externalTrafficPolicy="Cluster"), ["allocateLoadBalancerNodePorts: Required value"]),
    (NEW, of(allocateLoadBalancerNodePorts=False, loadBalancerClass="a/b", loadBalancerSourceRanges=["10.0.0.0/8"]),
        ["spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'", "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
    (NEW, balanced(loadBalancerClass="a b", loadBalancerSourceRanges=[" 10.0.0.0/8 ", "x"]), ['spec.LoadBalancerSourceRanges[1]: Invalid value: "x": <CIDR>',
        'spec.loadBalancerClass: Invalid value: "a b": <name part>']),
    (NEW, put(BASE, {"metadata.annotations": {rules.SOURCE_RANGES: " 10.0.0.0/8, x"}}), ["metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'",
        'metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "x": <CIDR>']),
    (NEW, balanced(externalTrafficPolicy=""), ["spec.externalTrafficPolicy: Required value"]),
    (NEW, balanced(externalTrafficPolicy="Odd"), ['spec.externalTrafficPolicy: Unsupported value: "Odd": supported values: "Cluster", "Local"']),
    (NEW, of(externalTrafficPolicy="Local", healthCheckNodePort=1), ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
        "spec.healthCheckNodePort: Invalid value: 1: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"]),
    (NEW, balanced(externalTrafficPolicy="Local"), ["spec.healthCheckNodePort: Required value"]),
    (NEW, balanced(externalTrafficPolicy="Local", healthCheckNodePort=70_000), ["spec.healthCheckNodePort: Invalid value: 70000: <port>"]),
    (NEW, of(internalTrafficPolicy=None), ["spec.internalTrafficPolicy: Required value"]),
    (NEW, of(internalTrafficPolicy="Odd", trafficDistribution="Odd"), ['spec.internalTrafficPolicy: Unsupported value: "Odd": supported values: "Cluster", "Local"',
        'spec.trafficDistribution: Unsupported value: "Odd": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"']),
    (UPDATE, (BASE, BASE), []),
    (UPDATE, (ips("10.0.0.2"), BASE), ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set']),
    (UPDATE, (ips("None"), ips("None")), []),
    (UPDATE, (ips(), BASE), ["spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset"]),
    (UPDATE, (ips("10.0.0.2", ipFamilyPolicy="PreferDualStack"), ips("10.0.0.1", "fd00::1", **DUAL)), ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
        "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the secondary clusterIP",
        "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the secondary ipFamily"]),
    (UPDATE, (ips("10.0.0.1"), ips("10.0.0.1", "fd00::1", **DUAL)), []),
    (UPDATE, (ips("10.0.0.2", "fd00::1", **DUAL), BASE), ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2","fd00::1"]: may not change once set']),
    (UPDATE, (ips("fd00::1", ipFamilies=["IPv6"]), BASE), ['spec.clusterIPs[0]: Invalid value: ["fd00::1"]: may not change once set',
        'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set']),
    (UPDATE, (ips("fd00::1", ipFamilies=["IPv6"], ipFamilyPolicy=None), ips("10.0.0.1", "fd00::1", **DUAL)), ['spec.clusterIPs[0]: Invalid value: ["fd00::1"]: may not change once set',
        "spec.ipFamilyPolicy: Invalid value: null: must be set to 'SingleStack' when releasing the secondary clusterIP", 'spec.ipFamilies[0]: Invalid value: ["fd00::1"]: may not change once set',
        "spec.ipFamilyPolicy: Invalid value: null: must be set to 'SingleStack' when releasing the secondary ipFamily"]),
    (UPDATE, (ips("fd00::1", "10.0.0.1", ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="PreferDualStack"), BASE), ['spec.clusterIPs[0]: Invalid value: ["fd00::1","10.0.0.1"]: may not change once set',
        'spec.ipFamilies[0]: Invalid value: ["fd00::1","10.0.0.1"]: may not change once set']),
    (UPDATE, (balanced(loadBalancerClass="a/c"), balanced(loadBalancerClass="a/b")), ['spec.loadBalancerClass: Invalid value: "a/c": may not change once set']),
    (UPDATE, (balanced(externalTrafficPolicy="Local", healthCheckNodePort=2), balanced(externalTrafficPolicy="Local", healthCheckNodePort=1)),
        ["spec.healthCheckNodePort: Forbidden: field is immutable"]),
    (STATUS, ingress({"ip": "10.0.0.1", "ipMode": "VIP"}, {"hostname": "a.b"}), []),
    (STATUS, ingress({"ip": "10.0.0.1"}, kind="ClusterIP"), ["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"]),
    (STATUS, ingress({"ip": "x"}, {"ipMode": "VIP"}, {"ip": "10.0.0.1", "ipMode": "Odd"}), ['status.loadBalancer.ingress[0].ip: Invalid value: "x": <IP address>',
        "status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set", "status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set",
        'status.loadBalancer.ingress[2].ipMode: Unsupported value: "Odd": supported values: "Proxy", "VIP"']),
    (STATUS, ingress({"hostname": "A_"}, {"hostname": "10.0.0.1"}), ['status.loadBalancer.ingress[0].hostname: Invalid value: "A_": <RFC 1123 subdomain>',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address']),
    (NEW, of(type="Other"), ['spec.type: Unsupported value: "Other": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    (NEW, of(type="ExternalName"), ["spec.clusterIPs: Forbidden: may not be set for ExternalName services", "spec.ipFamilies: Forbidden: may not be set for ExternalName services",
        "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services", "spec.externalName: Required value"]),
    (NEW, of(externalIPs=["127.0.0.1"]), ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)', "spec.externalTrafficPolicy: Required value"]),
    (UPDATE, (ips("10.0.0.6"), BASE), ['spec.clusterIPs[0]: Invalid value: ["10.0.0.6"]: may not change once set']),
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
