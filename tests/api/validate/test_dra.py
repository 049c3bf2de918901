"""Every cause that resource claims, templates and device classes can have (pkg/apis/resource/validation)."""

from rules import at, below, put, table, within

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
    (CLAIM, claim(requests=[{"name": "r", "exactly": EXACTLY}] * 2), ['~.requests[1]: Duplicate value: "r"']),
    (CLAIM, claim(requests=[{"name": f"r{i}", "exactly": EXACTLY} for i in range(33)]), ["~.requests: Too many: 33: must have at most 32 items"]),
    (CLAIM, claim(requests=[{"name": "R_", "firstAvailable": [ALTERNATIVE]}]), ['~.requests[0].name: Invalid value: "R_": <RFC 1123 label>']),
    (CLAIM, claim(requests=[{"name": "r", "exactly": EXACTLY, "firstAvailable": [ALTERNATIVE]}]),
        ["~.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"]),
    (CLAIM, claim(requests=[{"name": "r", "firstAvailable": [ALTERNATIVE, ALTERNATIVE]}]), ['~.requests[0].firstAvailable[1]: Duplicate value: "s"']),
    (CLAIM, exactly(deviceClassName=""), ["~.requests[0].exactly.deviceClassName: Required value"]),
    (CLAIM, exactly(deviceClassName="C_"), ['~.requests[0].exactly.deviceClassName: Invalid value: "C_": <RFC 1123 subdomain>']),
    (CLAIM, exactly(allocationMode="All"), ["~.requests[0].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'"]),
    (CLAIM, exactly(allocationMode="Some"), ['~.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"']),
    (CLAIM, exactly(selectors=[{"cel": {"expression": "true"}}, {}]), ["~.requests[0].exactly.selectors[1].cel: Required value"]),
    (CLAIM, exactly(selectors=[{"cel": {"expression": "x" * 10_241}}]), ["~.requests[0].exactly.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"]),
    (CLAIM, tolerating(key="a", operator="Equal", value="b", effect="NoExecute"), []),
    (CLAIM, tolerating(key="a b", operator="Exists", value="b"), ['~.requests[0].exactly.tolerations[0].key: Invalid value: "a b": <name part>',
        '~.requests[0].exactly.tolerations[0].value: Invalid value: "b": must be empty for operator `Exists`']),
    (CLAIM, tolerating(operator="Equal", value="-", effect="Odd"), ['~.requests[0].exactly.tolerations[0].value: Invalid value: "-": <label value>',
        '~.requests[0].exactly.tolerations[0].effect: Unsupported value: "Odd": supported values: "NoExecute", "NoSchedule"']),
    (CLAIM, tolerating(), ["~.requests[0].exactly.tolerations[0].operator: Required value"]),
    (CLAIM, tolerating(operator="Odd"), ['~.requests[0].exactly.tolerations[0].operator: Unsupported value: "Odd": supported values: "Equal", "Exists"']),
    (CLAIM, claim(constraints=[{"distinctAttribute": "d.example.com/a"}, {}]),
        ['~.constraints[1]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set']),
    (CLAIM, claim(constraints=[{"matchAttribute": "/"}]), ['~.constraints[0].matchAttribute: Invalid value: "": the domain must not be empty',
        '~.constraints[0].matchAttribute: Invalid value: "": the name must not be empty']),
    (CLAIM, claim(constraints=[{"matchAttribute": "d/" + "a" * 33}, {"matchAttribute": "d/1a"}]), ["~.constraints[0].matchAttribute: Too long: may not be more than 32 bytes",
        '~.constraints[1].matchAttribute: Invalid value: "1a": <C identifier>']),
    (CLAIM, claim(constraints=[{"matchAttribute": "d/a", "requests": ["r", "r", "a/b/c", "R_", "r/s"]}]), below("~.constraints[0].requests", '[1]: Duplicate value: "r"',
        '[2]: Invalid value: "a/b/c": <request>', '[3]: Invalid value: "R_": <RFC 1123 label>', '[3]: Invalid value: "R_": <request>', '[4]: Invalid value: "r/s": <request>')),
    (CLAIM, claim(config=[{"opaque": OPAQUE, "requests": ["r"]}]), []),
    (CLAIM, claim(config=[{"opaque": {}}]), ["~.config[0].opaque.driver: Required value", "~.config[0].opaque.parameters: Required value"]),
    (CLAIM, claim(config=[{"opaque": {**OPAQUE, "parameters": [1]}}]), ['~.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object']),
    (CLAIM, claim(config=[{"opaque": {**OPAQUE, "parameters": {"a": "x" * 10_240}}}]), ["~.config[0].opaque.parameters: Too long: may not be more than 10240 bytes"]),
    (rules.validate_claim_update, (claim(), claim()), []),
    (rules.validate_claim_update, ({"spec": {}}, claim()), ['spec: Invalid value: {"Devices":{"Requests":null,"Constraints":null,"Config":null}}: field is immutable']),
    (TEMPLATE, {"spec": {"metadata": {"labels": {"a b": "c"}, "annotations": {"a b": ""}}, **claim()}}, ['spec.metadata.annotations: Invalid value: "a b": <name part>',
        'spec.metadata.labels: Invalid value: "a b": <name part>']),
    (TEMPLATE, {"spec": {"metadata": {"finalizers": ["a/b"], "name": "n"}, **claim()}}, ["spec.metadata.name: Forbidden: cannot be set", "spec.metadata.finalizers: Forbidden: cannot be set"]),
    (TEMPLATE_UPDATE, ({"spec": claim()}, {"spec": claim()}), []),
    (TEMPLATE_UPDATE, ({}, {"spec": {"spec": {"devices": {"config": [1]}}}}),
        ['spec: Invalid value: {"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}: field is immutable']),
    (TEMPLATE_UPDATE, ({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {"requests": [{}]}}}}, {"spec": claim()}),
        ['spec: Invalid value: {"labels":{"a":"b"},"Spec":{"Devices":{"Requests":[{"Name":"","Exactly":null,"FirstAvailable":null}],"Constraints":null,"Config":null}}}: field is immutable']),
    (CLASS, {"spec": {"selectors": [{"cel": {"expression": "true"}}], "extendedResourceName": "example.com/gpu"}}, []),
    (CLASS, {"spec": {"selectors": [{}], "config": [{}], "extendedResourceName": "cpu"}}, ["spec.selectors[0].cel: Required value", "spec.config[0].opaque: Required value",
        'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name']),
    (CLASS_UPDATE, ({"spec": {"selectors": [{"cel": {"expression": "x"}}, {}]}},) * 2, ["spec.selectors[1].cel: Required value"]),
    (CLASS_UPDATE,
        ({"spec": {"selectors": [{"cel": {"expression": "true"}}, {"cel": {"expression": "1"}}]}}, {"spec": {"selectors": [{"cel": {"expression": "1"}}, {"cel": {"expression": "true"}}]}}),
        ['spec.selectors[1].cel.expression: Invalid value: "1": must evaluate to bool or the unknown type, not int']),
    (CLASS_UPDATE, ({"spec": {"config": [{}]}}, {}), ["spec.config[0].opaque: Required value"]),
    (STATUS, allocated(), []),
    (STATUS, status(allocation={}, reservedFor=[USER]), []),
    (STATUS, status(reservedFor=[USER, USER]), ['status.reservedFor[1]: Duplicate value: "u"', "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]),
    (STATUS, status(allocation={}, reservedFor=[{}]), ["status.reservedFor[0].resource: Required value", "status.reservedFor[0].name: Required value", "status.reservedFor[0].uid: Required value"]),
    (STATUS, (put(status(allocation={}, reservedFor=[USER])[0], {"metadata.deletionTimestamp": "t"}), claim()),
        ["status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"]),
    (STATUS, status(old={"allocation": {"devices": {"results": [RESULT]}}}, allocation={}),
        ['status.allocation: Invalid value: {"Devices":{"Results":null,"Config":null},"NodeSelector":null,"AllocationTimestamp":null}: field is immutable']),
    (STATUS, allocated(results=[{"request": "other", "driver": "", "pool": "", "device": "X_"}]), ['~.results[0].request: Invalid value: "other": <request>', "~.results[0].driver: Required value",
        "~.results[0].pool: Required value", '~.results[0].device: Invalid value: "X_": <RFC 1123 label>']),
    (STATUS, allocated(results=[{**RESULT, "pool": "a/" + "p" * 253}]), ["~.results[0].pool: Too long: may not be more than 253 bytes"]),
    (STATUS, allocated(results=[{**RESULT, "pool": "a//b"}]), ['~.results[0].pool: Invalid value: "": <RFC 1123 subdomain>']),
    (STATUS, allocated(results=[RESULT, RESULT]), []),
    (STATUS, allocated(results=[{**RESULT, "shareID": "01234567-89ab-cdef-0123-456789abcdef"}]), []),
    (STATUS, allocated(results=[{**RESULT, "shareID": "x"}]), ['~.results[0].shareID: Invalid value: "x": error validating uid: invalid UUID length: 1']),
    (STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a"], "bindingFailureConditions": ["b"]}]), []),
    (STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a"]}]),
        ["~.results[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"]),
    (STATUS, allocated(results=[{**RESULT, "bindingFailureConditions": ["b"]}]),
        ["~.results[0].bindingConditions: Invalid value: null: bindingConditions are required to use bindingFailureConditions"]),
    (STATUS, allocated(results=[{**RESULT, "bindingConditions": ["a", "a"], "bindingFailureConditions": ["a", "b c"]}]), below("~.results[0]", '.bindingConditions[1]: Duplicate value: "a"',
        '.bindingFailureConditions[1]: Invalid value: "b c": <name part>', '.bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions')),
    (STATUS, allocated(config=[{"source": "FromClaim", "opaque": OPAQUE, "requests": ["r"]}]), []),
    (STATUS, allocated(config=[{"requests": ["x"]}, {"source": "Odd", "opaque": OPAQUE}]), ["~.config[0].source: Required value", '~.config[0].requests[0]: Invalid value: "x": <request>',
        "~.config[0].opaque: Required value", '~.config[1].source: Unsupported value: "Odd": supported values: "FromClaim", "FromClass"']),
    (STATUS, status(allocation={"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}), []),
    (STATUS, status(allocation={"nodeSelector": {}}), ["status.allocation.nodeSelector.nodeSelectorTerms: Required value: must have at least one node selector term"]),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[RESULT]), []),
    (STATUS, status(devices=[RESULT, {**RESULT, "device": "X_"}]), below("status.devices",
        '[0]: Invalid value: {"Driver":"d.example.com","Pool":"p","Device":"x","ShareID":""}: must be an allocated device in the claim', '[1].device: Invalid value: "X_": <RFC 1123 label>',
        '[1]: Invalid value: {"Driver":"d.example.com","Pool":"p","Device":"X_","ShareID":""}: must be an allocated device in the claim')),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[{**RESULT, "data": [1], "conditions": [{}]}]),
        ['status.devices[0].conditions[0].type: Invalid value: "": name part must be non-empty', 'status.devices[0].conditions[0].type: Invalid value: "": <name part>',
        'status.devices[0].conditions[0].status: Unsupported value: "": supported values: "False", "True", "Unknown"', "status.devices[0].conditions[0].lastTransitionTime: Required value",
        "status.devices[0].conditions[0].reason: Required value", 'status.devices[0].data: Invalid value: "<value omitted>": must be a valid JSON object']),
    (STATUS, status(allocation={"devices": {"results": [RESULT]}}, devices=[{**RESULT, "networkData": {"interfaceName": "e", "hardwareAddress": "h", "ips": ["10.0.0.1/24"]}}]), []),
    (STATUS,
        status(allocation={"devices": {"results": [RESULT]}},
            devices=[{**RESULT, "networkData": {"interfaceName": "e" * 257, "hardwareAddress": "h" * 129, "ips": ["10.0.0.1", "010.0.0.1/24", "fd00::1/64", "fd00::1/64"]}}]),
        ["status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes",
            "status.devices[0].networkData.hardwareAddress: Too long: may not be more than 128 bytes",
            'status.devices[0].networkData.ips[0]: Invalid value: "10.0.0.1": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)',
            'status.devices[0].networkData.ips[1]: Invalid value: "010.0.0.1/24": must be in canonical form ("10.0.0.1/24")',
            'status.devices[0].networkData.ips[3]: Duplicate value: "fd00::1/64"']),
    (CLAIM, claim(), []),
    (CLAIM, claim(requests=[{"name": "r"}]), ["~.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"]),
    (CLAIM, exactly(count=0), ["~.requests[0].exactly.count: Invalid value: 0: must be greater than zero"]),
    (CLAIM, claim(constraints=[{"requests": ["x"], "matchAttribute": "a.b/c"}]), ['~.constraints[0].requests[0]: Invalid value: "x": <request>']),
    (CLAIM, claim(constraints=[{"matchAttribute": "c"}]), ['~.constraints[0].matchAttribute: Invalid value: "c": a fully qualified name must be a domain and a name separated by a slash']),
    (CLAIM, claim(config=[{}]), ["~.config[0].opaque: Required value"]),
    (STATUS, status(reservedFor=[USER]), ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"]),
])  # fmt: skip
