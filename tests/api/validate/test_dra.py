"""Every cause that resource claims, templates and device classes can have (pkg/apis/resource/validation)."""

from rules import at, below, put, table, valid, within

from pilothouse.api.validate import dra as rules
from pilothouse.api.validate.dra_status import validate_claim_status
from pilothouse.api.values.fields import Object

CLAIM, STATUS = within("spec.devices", rules.validate_claim), within("status.allocation.devices", validate_claim_status)
TEMPLATE, TEMPLATE_UPDATE, CLASS, CLASS_UPDATE = rules.validate_claim_template, rules.validate_claim_template_update, rules.validate_device_class, rules.validate_device_class_update
EXACTLY = {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}
ALTERNATIVE = {"name": "s", **EXACTLY}
claim = at({}, "spec.devices", {"requests": [{"name": "r", "exactly": EXACTLY}]})
exactly = at(claim(), "spec.devices.requests.0.exactly")
tolerating = at(claim(), "spec.devices.requests.0.exactly.tolerations[]", {})
OPAQUE = {"driver": "d.example.com", "parameters": {"a": 1}}
RESULT = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "x"}
USER = {"resource": "pods", "name": "p", "uid": "u"}


def status(old: Object | None = None, **members: object) -> tuple[Object, Object]:
    return {**claim(), "status": members}, {**claim(), "status": old or {}}


def allocated(**members: object) -> tuple[Object, Object]:
    return status(allocation={"devices": {"results": [RESULT], **members}})


test_causes = table([
    (CLAIM, claim(requests=[{"name": "r", "exactly": EXACTLY}] * 2), '~.requests[1]="r" unique'),
    (CLAIM, claim(requests=[{"name": f"r{i}", "exactly": EXACTLY} for i in range(33)]), "~.requests most:32"),
    (CLAIM, claim(requests=[{"name": "R_", "firstAvailable": [ALTERNATIVE]}]), "~.requests[0].name : <RFC 1123 label>"),
    (CLAIM, claim(requests=[{"name": "r", "exactly": EXACTLY, "firstAvailable": [ALTERNATIVE]}]),
        "~.requests[0]=null : exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"),
    (CLAIM, claim(requests=[{"name": "r", "firstAvailable": [ALTERNATIVE, ALTERNATIVE]}]), '~.requests[0].firstAvailable[1]="s" unique'),
    (CLAIM, exactly(deviceClassName=""), "~.requests[0].exactly.deviceClassName!"),
    (CLAIM, exactly(deviceClassName="C_"), "~.requests[0].exactly.deviceClassName : <RFC 1123 subdomain>"),
    (CLAIM, exactly(allocationMode="All"), "~.requests[0].exactly.count : must not be specified when allocationMode is 'All'"),
    (CLAIM, exactly(allocationMode="Some"), "~.requests[0].exactly.allocationMode All|ExactCount"),
    (CLAIM, exactly(selectors=[{"cel": {"expression": "true"}}, {}]), "~.requests[0].exactly.selectors[1].cel!"),
    (CLAIM, exactly(selectors=[{"cel": {"expression": "x" * 10_241}}]), "~.requests[0].exactly.selectors[0].cel.expression max:10240"),
    *valid(CLAIM, tolerating(key="a", operator="Equal", value="b", effect="NoExecute"), claim(config=[{"opaque": OPAQUE, "requests": ["r"]}]), claim()),
    (CLAIM, tolerating(key="a b", operator="Exists", value="b"), *below("~.requests[0].exactly.tolerations[0]", ".key : <name part>", ".value : must be empty for operator `Exists`")),
    (CLAIM, tolerating(operator="Equal", value="-", effect="Odd"), *below("~.requests[0].exactly.tolerations[0]", ".value : <label value>", ".effect NoExecute|NoSchedule")),
    (CLAIM, tolerating(), "~.requests[0].exactly.tolerations[0].operator!"),
    (CLAIM, tolerating(operator="Odd"), "~.requests[0].exactly.tolerations[0].operator Equal|Exists"),
    (CLAIM, claim(constraints=[{"distinctAttribute": "d.example.com/a"}, {}]), '~.constraints[1]! : exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'),
    (CLAIM, claim(constraints=[{"matchAttribute": "/"}]), '~.constraints[0].matchAttribute="" : the domain must not be empty', '~.constraints[0].matchAttribute="" : the name must not be empty'),
    (CLAIM, claim(constraints=[{"matchAttribute": "d/" + "a" * 33}, {"matchAttribute": "d/1a"}]), "~.constraints[0].matchAttribute max:32", '~.constraints[1].matchAttribute="1a" : <C identifier>'),
    (CLAIM, claim(constraints=[{"matchAttribute": "d/a", "requests": ["r", "r", "a/b/c", "R_", "r/s"]}]), *below("~.constraints[0].requests", "[1] unique", "[2] : <request>", "[3] : <RFC 1123 label>",
        "[3],[4] : <request>")),
    (CLAIM, claim(config=[{"opaque": {}}]), "~.config[0].opaque.driver,parameters!"),
    (CLAIM, claim(config=[{"opaque": {**OPAQUE, "parameters": [1]}}]), '~.config[0].opaque.parameters="<value omitted>" : must be a valid JSON object'),
    (CLAIM, claim(config=[{"opaque": {**OPAQUE, "parameters": {"a": "x" * 10_240}}}]), "~.config[0].opaque.parameters max:10240"),
    (rules.validate_claim_update, (claim(), claim())),
    (rules.validate_claim_update, ({"spec": {}}, claim()), 'spec={"Devices":{"Requests":null,"Constraints":null,"Config":null}} fixed'),
    (TEMPLATE, {"spec": {"metadata": {"labels": {"a b": "c"}, "annotations": {"a b": ""}}, **claim()}}, 'spec.metadata.annotations,labels="a b" : <name part>'),
    (TEMPLATE, {"spec": {"metadata": {"finalizers": ["a/b"], "name": "n"}, **claim()}}, "spec.metadata.name,finalizers- : cannot be set"),
    (TEMPLATE_UPDATE, ({"spec": claim()}, {"spec": claim()})),
    (TEMPLATE_UPDATE, ({}, {"spec": {"spec": {"devices": {"config": [1]}}}}), 'spec={"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}} fixed'),
    (TEMPLATE_UPDATE, ({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {"requests": [{}]}}}}, {"spec": claim()}),
        'spec={"labels":{"a":"b"},"Spec":{"Devices":{"Requests":[{"Name":"","Exactly":null,"FirstAvailable":null}],"Constraints":null,"Config":null}}} fixed'),
    (CLASS, {"spec": {"selectors": [{"cel": {"expression": "true"}}], "extendedResourceName": "example.com/gpu"}}),
    (CLASS, {"spec": {"selectors": [{}], "config": [{}], "extendedResourceName": "cpu"}}, "spec.selectors[0].cel!", "spec.config[0].opaque!",
        "spec.extendedResourceName : must be a valid extended resource name"),
    (CLASS_UPDATE, ({"spec": {"selectors": [{"cel": {"expression": "x"}}, {}]}},) * 2, "spec.selectors[1].cel!"),
    (CLASS_UPDATE, ({"spec": {"selectors": [{"cel": {"expression": "true"}}, {"cel": {"expression": "1"}}]}}, {"spec": {"selectors": [{"cel": {"expression": "1"}}, {"cel": {"expression": "true"}}]}}),
        "spec.selectors[1].cel.expression : must evaluate to bool or the unknown type, not int"),
    (CLASS_UPDATE, ({"spec": {"config": [{}]}}, {}), "spec.config[0].opaque!"),
    *valid(STATUS, allocated(), status(allocation={}, reservedFor=[USER]), allocated(results=[RESULT, RESULT]), allocated(results=[{**RESULT, "shareID": "01234567-89ab-cdef-0123-456789abcdef"}])),
    *valid(STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a"], "bindingFailureConditions": ["b"]}]), allocated(config=[{"source": "FromClaim", "opaque": OPAQUE, "requests": ["r"]}])),
    (STATUS, status(allocation={"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}})),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[RESULT])),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[{**RESULT, "networkData": {"interfaceName": "e", "hardwareAddress": "h", "ips": ["10.0.0.1/24"]}}])),
    (STATUS, status(reservedFor=[USER, USER]), 'status.reservedFor[1]="u" unique', "status.reservedFor- : may not be specified when `allocated` is not set"),
    (STATUS, status(allocation={}, reservedFor=[{}]), "status.reservedFor[0].resource,name,uid!"),
    (STATUS, (put(status(allocation={}, reservedFor=[USER])[0], {"metadata.deletionTimestamp": "t"}), claim()),
        "status.reservedFor- : new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"),
    (STATUS, status(old={"allocation": {"devices": {"results": [RESULT]}}}, allocation={}),
        'status.allocation={"Devices":{"Results":null,"Config":null},"NodeSelector":null,"AllocationTimestamp":null} fixed'),
    (STATUS, allocated(results=[{"request": "other", "driver": "", "pool": "", "device": "X_"}]), *below("~.results[0]", ".request : <request>", ".driver,pool!", ".device : <RFC 1123 label>")),
    (STATUS, allocated(results=[{**RESULT, "pool": "a/" + "p" * 253}]), "~.results[0].pool max:253"),
    (STATUS, allocated(results=[{**RESULT, "pool": "a//b"}]), '~.results[0].pool="" : <RFC 1123 subdomain>'),
    (STATUS, allocated(results=[{**RESULT, "shareID": "x"}]), "~.results[0].shareID : error validating uid: invalid UUID length: 1"),
    (STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a"]}]), "~.results[0].bindingFailureConditions=null : bindingFailureConditions are required to use bindingConditions"),
    (STATUS, allocated(results=[{**RESULT, "bindingFailureConditions": ["b"]}]), "~.results[0].bindingConditions=null : bindingConditions are required to use bindingFailureConditions"),
    (STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a", "a"], "bindingFailureConditions": ["a", "b c"]}]), "~.results[0].bindingConditions[1] unique",
        "~.results[0].bindingFailureConditions[1] : <name part>", "~.results[0].bindingFailureConditions[0] : bindingFailureConditions must not overlap with bindingConditions"),
    (STATUS, allocated(config=[{"requests": ["x"]}, {"source": "Odd", "opaque": OPAQUE}]), "~.config[0].source!", "~.config[0].requests[0] : <request>", "~.config[0].opaque!",
        "~.config[1].source FromClaim|FromClass"),
    (STATUS, status(allocation={"nodeSelector": {}}), "status.allocation.nodeSelector.nodeSelectorTerms! : must have at least one node selector term"),
    (STATUS, status(devices=[RESULT, {**RESULT, "device": "X_"}]),
        *below("status.devices", '[0]={"Driver":"d.example.com","Pool":"p","Device":"x","ShareID":""} : must be an allocated device in the claim', "[1].device : <RFC 1123 label>",
        '[1]={"Driver":"d.example.com","Pool":"p","Device":"X_","ShareID":""} : must be an allocated device in the claim')),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[{**RESULT, "data": [1], "conditions": [{}]}]),
        *below("status.devices[0]", '.conditions[0].type="" : name part must be non-empty', '.conditions[0].type="" : <name part>', '.conditions[0].status="" False|True|Unknown',
        ".conditions[0].lastTransitionTime,reason!", '.data="<value omitted>" : must be a valid JSON object')),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[{**RESULT, "networkData": {"interfaceName": "e" * 257, "hardwareAddress": "h" * 129, "ips": ["10.0.0.1", "010.0.0.1/24", "fd00::1/64", "fd00::1/64"]}}]),
        *below("status.devices[0].networkData", ".interfaceName max:256", ".hardwareAddress max:128", ".ips[0] : must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
        '.ips[1] : must be in canonical form ("10.0.0.1/24")', ".ips[3] unique")),
    (CLAIM, claim(requests=[{"name": "r"}]), "~.requests[0]! : exactly one of `exactly` or `firstAvailable` is required"),
    (CLAIM, exactly(count=0), "~.requests[0].exactly.count : must be greater than zero"),
    (CLAIM, claim(constraints=[{"matchAttribute": "c"}]), "~.constraints[0].matchAttribute : a fully qualified name must be a domain and a name separated by a slash"),
    (CLAIM, claim(config=[{}]), "~.config[0].opaque!"),
])  # fmt: skip
