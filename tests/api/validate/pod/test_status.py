"""Every cause that changes of a pod's status can have (apis/core/validation, ValidatePodStatusUpdate)."""

from typing import Any

from pods import CONTAINER, pod
from rules import below, table, valid

from pilothouse.api.validate.pod.status import validate_pod_status_update as CHANGED
from pilothouse.api.values.fields import Object

FAILED, ENDED = {"terminated": {"exitCode": 1}}, {"terminated": {"exitCode": 0}}
RUNS: Object = {"running": {}}
NEVER, ON_FAILURE = {"restartPolicy": "Never"}, {"restartPolicy": "OnFailure"}
SIDECAR = {**NEVER, "initContainers": [{**CONTAINER, "restartPolicy": "Always"}]}
CLAIMS = {"resourceClaims": [{"name": "a", "resourceClaimName": "x"}]}
STAYS = "state: Forbidden: may not be transitioned to non-terminated state"


def of(spec: Object | None = None, **status: Any) -> Object:
    return {**pod(**(spec or {})), "status": status}


def turned(spec: Object, new: Object, old: Object, kind: str = "container") -> tuple[Object, Object]:
    """A container's state has changed."""
    member = f"{kind}Statuses"
    return of(spec, **{member: [{"name": "c", "state": new}]}), of(spec, **{member: [{"name": "c", "state": old}]})


def devices(name: str, *listed: Object) -> tuple[Object, Object]:
    allocated = [{"name": name, "resources": [*listed]}]
    return of(containerStatuses=[{"name": "c", "allocatedResourcesStatus": allocated}]), of()


test_causes = table([
    (CHANGED, (of(conditions=[{"type": "Ready"}, {"type": "a b"}]), of()), 'status.conditions[1].Type="a b" : <name part>'),
    (CHANGED, (of(nominatedNodeName="N_"), of()), "status.nominatedNodeName : <RFC 1123 subdomain>"),
    *valid(CHANGED, (of(nominatedNodeName="N_"), of(nominatedNodeName="N_")), (of(qosClass=""), of()), turned({}, RUNS, FAILED), turned(NEVER, ENDED, FAILED)),
    *valid(CHANGED, (of(NEVER), turned(NEVER, RUNS, FAILED)[1]), turned(ON_FAILURE, RUNS, FAILED), turned(SIDECAR, RUNS, FAILED, "initContainer")),
    *valid(CHANGED, (of(podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]), of()), (of(podIPs=[{"ip": "010.0.0.1"}]), of(podIPs=[{"ip": "010.0.0.1"}]))),
    (CHANGED, (of(qosClass="Burstable"), of(qosClass="BestEffort")), "status.qosClass fixed"),
    (CHANGED, (of(), of(qosClass="BestEffort")), 'status.qosClass="" fixed'),
    (CHANGED, turned(NEVER, RUNS, FAILED), f"status.containerStatuses[0].{STAYS}"),
    (CHANGED, turned(ON_FAILURE, RUNS, ENDED), f"status.containerStatuses[0].{STAYS}"),
    (CHANGED, turned(NEVER, RUNS, FAILED, "initContainer"), f"status.initContainerStatuses[0].{STAYS}"),
    (CHANGED, turned({}, RUNS, ENDED, "ephemeralContainer"), f"status.ephemeralContainerStatuses[0].{STAYS}"),
    (CHANGED, (of(CLAIMS, resourceClaimStatuses=[{"name": "a", "resourceClaimName": "C_"}, {"name": "a"}, {"name": "b"}]), of(CLAIMS)),
        *below("status.resourceClaimStatuses", '[0].name="C_" : <RFC 1123 subdomain>', "[1].name unique", "[2].name : must match the name of an entry in `spec.resourceClaims`")),
    (CHANGED, (of(hostIP="10.0.0.1", hostIPs=[{"ip": "10.0.0.2"}]), of()), "status.hostIPs[0].ip : must be equal to `hostIP`"),
    (CHANGED, (of(podIPs=[{"ip": "10.0.0.1"}, {"ip": "x"}]), of()), 'status.podIPs[1]="x" : <IP address>', "status.podIPs: Internal error: failed to check for dual stack with error:invalid IP[1]: x",
        'status.podIPs=[{"IP":"10.0.0.1"},{"IP":"x"}] : may specify no more than one IP for each IP family'),
    (CHANGED, (of(podIPs=[{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]), of()), 'status.podIPs=[{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}] : may specify no more than one IP for each IP family'),
    (CHANGED, (of(podIPs=[{"ip": "010.0.0.1"}]), of()), 'status.podIPs[0]="010.0.0.1" : must not have leading 0s'),
    (CHANGED, (of(containerStatuses=[{"name": "c", "user": {"linux": {"uid": -1, "gid": -1, "supplementalGroups": [-1]}}}, {"name": "d"}]), of()),
        "status.containerStatuses[0].linux.uid,gid,supplementalGroups[0]=-1 : <ID>"),
    (CHANGED, (of({"os": {"name": "windows"}}, initContainerStatuses=[{"name": "c", "user": {"linux": {}}}]), of()), "status.initContainerStatuses[0].linux- : cannot be set for a windows pod"),
    (CHANGED, devices("cpu", {"health": "Odd", "resourceID": "r"}, {"health": "Healthy", "resourceID": "r"}),
        *below("status.containerStatuses[0].allocatedResourcesStatus[0]", ".name : must match one of the container's resource requests", ".resources[0].health Healthy|Unhealthy|Unknown",
        ".resources[1].resourceID unique")),
    (CHANGED, devices("claim:x"),
        "status.containerStatuses[0].allocatedResourcesStatus[0].name : must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"),
    (CHANGED, (of(ephemeralContainerStatuses=[{"name": "e", "allocatedResourcesStatus": [{}]}]), of()),
        "status.ephemeralContainerStatuses[0].allocatedResourcesStatus- : must not be specified in container status"),
])  # fmt: skip
