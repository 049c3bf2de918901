"""Every cause that resource slices can have (pkg/apis/resource/validation)."""

from rules import GONE, at, below, changed, put, table, within

from pilothouse.api.validate import dra_slices as rules
from pilothouse.api.values.fields import Object

SLICE, UPDATE = within("spec.devices[0]", rules.validate_slice), changed(rules.validate_slice)
BASE: Object = {"spec": {"driver": "d.example.com", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "nodeName": "n", "devices": [{"name": "a"}]}}
TERM = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
VALUES = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
ODD_VALUES = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["_"]}]}

spec = at(BASE, "spec")


device = at(BASE, "spec.devices[]", {"name": "a"})
apart = at(spec(nodeName=GONE, perDeviceNodeSelection=True), "spec.devices[]", {"name": "a"})


def capacity(value: str = "10", **policy: object) -> Object:
    return device(allowMultipleAllocations=True, capacity={"mem": {"value": value, "requestPolicy": policy}})


COUNTERS = {"name": "s", "counters": {"m": {"value": "1"}}}
ONE = {"int": 1}

test_causes = table([
    (SLICE, BASE, []),
    (SLICE, {}, ["spec.driver: Required value", "spec.pool.name: Required value", "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero", "spec: Required value: <one place>"]),
    (SLICE, spec(driver="D" * 64), ["spec.driver: Too long: may not be more than 63 bytes"]),
    (SLICE, spec(pool={"name": "p", "resourceSliceCount": 0, "generation": -1}), ["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"]),
    (SLICE, spec(nodeName=""), ['spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string', "spec: Required value: <one place>"]),
    (SLICE, spec(nodeName="N_"), ['spec.nodeName: Invalid value: "N_": <RFC 1123 subdomain>']),
    (SLICE, spec(nodeName=GONE, allNodes=False), ["spec.allNodes: Invalid value: false: must be either unset or set to true", "spec: Required value: <one place>"]),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [TERM]}), []),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [VALUES]}), []),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [ODD_VALUES]}), ['spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].values[0]: Invalid value: "_": <label value>']),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [TERM, TERM]}),
        ['spec.nodeSelector.nodeSelectorTerms: Invalid value: [{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null},{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null}]: must have exactly one node selector term']),
    (SLICE, spec(allNodes=True), ['spec: Invalid value: "{`nodeName`, `allNodes`}": <one place>, but multiple fields are set']),
    (SLICE, spec(sharedCounters=[COUNTERS]), ['spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed']),
    (SLICE, spec(devices=[], sharedCounters=[COUNTERS, COUNTERS, {}]), below("spec.sharedCounters", '[1]: Duplicate value: "s"', "[2].name: Required value", "[2].counters: Required value")),
    (SLICE, spec(devices=[], sharedCounters=[{"name": "S_", "counters": {f"c{i}": {} for i in range(33)}}]), ['spec.sharedCounters[0].name: Invalid value: "S_": <RFC 1123 label>',
        "spec.sharedCounters[0].counters: Too many: 33: must have at most 32 items"]),
    (SLICE, spec(devices=[], sharedCounters=[{"name": "s", "counters": {"C_": {}}}]), ['spec.sharedCounters[0].counters: Invalid value: "C_": <RFC 1123 label>']),
    (SLICE, spec(devices=[{"name": f"d{i}"} for i in range(129)]), ["spec.devices: Too many: 129: must have at most 128 items"]),
    (SLICE, spec(devices=[{"name": f"d{i}", "taints": [{"key": "a", "effect": "None"}]} for i in range(65)]), ["spec.devices: Too many: 65: must have at most 64 items"]),
    (SLICE, spec(devices=[{"name": "a"}, {"name": "a"}, {"name": "A_"}]), ['spec.devices[1]: Duplicate value: "a"', 'spec.devices[2].name: Invalid value: "A_": <RFC 1123 label>']),
    (SLICE, device(attributes={"a": ONE, "d.example.com/b": {"version": "1.2.3-rc.1+x"}, "c": {"string": "s"}}), []),
    (SLICE, device(attributes={"1a": ONE, "/b": ONE}), ['~.attributes: Invalid value: "": the domain must not be empty', '~.attributes: Invalid value: "1a": <C identifier>']),
    (SLICE, device(attributes={"a": {}, "b": {"int": 1, "bool": True}}), ['~.attributes[a]: Invalid value: "": exactly one value must be specified',
        '~.attributes[b]: Invalid value: {"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly one value must be specified']),
    (SLICE, device(attributes={"a": {"string": "s" * 65}, "b": {"version": "1"}, "c": {"version": "1.0.0-" + "x" * 64}}), ["~.attributes[a].string: Too long: may not be more than 64 bytes",
        '~.attributes[b].version: Invalid value: "1": must be a string compatible with semver.org spec 2.0.0', "~.attributes[c].version: Too long: may not be more than 64 bytes"]),
    (SLICE, device(attributes={f"a{i}": ONE for i in range(33)}), ["~: Invalid value: 33: the total number of attributes and capacities must not exceed 32"]),
    (SLICE, device(taints=[{"key": "a b", "value": "-", "effect": "Odd"}, {"key": "a"}]), ['~.taints[0].key: Invalid value: "a b": <name part>', '~.taints[0].value: Invalid value: "-": <label value>',
        '~.taints[0].effect: Unsupported value: "Odd": supported values: "NoExecute", "NoSchedule", "None"', "~.taints[1].effect: Required value"]),
    (UPDATE, (device(taints=[{"key": "a"}]), device(taints=[{"key": "a"}])), []),
    (UPDATE, (device(taints=[{"key": "b"}]), device(taints=[{"key": "a"}])), ["spec.devices[0].taints[0].effect: Required value"]),
    (SLICE, device(consumesCounters=[{"counterSet": "s", "counters": {"m": {}}}]), []),
    (SLICE, device(consumesCounters=[{}, {}, {}]), below("~.consumesCounters", ": Too many: 3: must have at most 2 items", "[0].counterSet: Required value", "[0].counters: Required value",
        "[1].counterSet: Required value", "[1].counters: Required value", '[1]: Duplicate value: ""', "[2].counterSet: Required value", "[2].counters: Required value", '[2]: Duplicate value: ""')),
    (SLICE, device(nodeName="n"), ["~: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"]),
    (SLICE, apart(nodeName="n"), []),
    (SLICE, apart(), ["~: Required value: <one place of a device>"]),
    (SLICE, apart(nodeName=""), ['~.nodeName: Invalid value: "": must not be empty', "~: Required value: <one place of a device>"]),
    (SLICE, apart(allNodes=False), ["~.allNodes: Invalid value: false: must be either unset or set to true", "~: Required value: <one place of a device>"]),
    (SLICE, apart(nodeName="N_", allNodes=True), ['~.nodeName: Invalid value: "N_": <RFC 1123 subdomain>', '~: Invalid value: "{`nodeName`, `allNodes`}": <one place of a device>']),
    (SLICE, apart(nodeSelector={"nodeSelectorTerms": [TERM]}), []),
    (SLICE, device(capacity={"mem": {"value": "1", "requestPolicy": {"default": "1"}}}), ["~.capacity[mem].requestPolicy: Forbidden: allowMultipleAllocations must be true"]),
    (SLICE, device(capacity={"mem": {"value": "1"}}), []),
    (SLICE, capacity(default="1"), []),
    (SLICE, capacity(default="1", validValues=["1"], validRange={"min": "1"}),
        ['~.capacity[mem].requestPolicy: Forbidden: exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time']),
    (SLICE, capacity(validValues=["1"]), ["~.capacity[mem].requestPolicy.default: Required value: required when validValues is defined"]),
    (SLICE, capacity(validRange={"min": "1"}), ["~.capacity[mem].requestPolicy.default: Required value: required when validRange is defined"]),
    (SLICE, capacity(default="1", validValues=["1", "2"]), []),
    (SLICE, capacity(default="3", validValues=["2", "1", "11", "11"]), below("~.capacity[mem].requestPolicy.validValues", '[1]: Invalid value: "1": values must be sorted in ascending order',
        '[2]: Invalid value: "11": option is larger than capacity value: 10', '[3]: Invalid value: "11": option is larger than capacity value: 10', '[3]: Duplicate value: "11"',
        ': Invalid value: "3": default value is not valid according to the requestPolicy')),
    (SLICE, capacity(default="1", validValues=[str(i) for i in range(11)]), ["~.capacity[mem].requestPolicy.validValues: Too many: 11: must have at most 10 items"]),
    (SLICE, capacity(default="2", validRange={"min": "1", "max": "10", "step": "1"}), []),
    (SLICE, capacity(default="2", validRange={}), ["~.capacity[mem].requestPolicy.validRange.min: Required value: required when validRange is defined"]),
    (SLICE, capacity(default="1", validRange={"min": "11", "max": "5"}), below("~.capacity[mem].requestPolicy.validRange", '.min: Invalid value: "11": min is larger than capacity value: 10',
        '.min: Invalid value: "1": default is less than min: 11', '.max: Invalid value: "11": min is larger than max: 5')),
    (SLICE, capacity(default="8", validRange={"min": "1", "max": "5"}), ['~.capacity[mem].requestPolicy.validRange.max: Invalid value: "8": default is more than max: 5']),
    (SLICE, capacity(default="2", validRange={"min": "1", "max": "11"}), ['~.capacity[mem].requestPolicy.validRange.max: Invalid value: "11": max is larger than capacity value: 10']),
    (SLICE, capacity(default="4", validRange={"min": "1", "max": "8", "step": "2"}), below("~.capacity[mem].requestPolicy.validRange.step",
        ': Invalid value: "4": value is not a multiple of a given step (2) from (1)', ': Invalid value: "8": value is not a multiple of a given step (2) from (1)')),
    (SLICE, capacity(default="1", validRange={"min": "1", "step": "10"}), ['~.capacity[mem].requestPolicy.validRange.step: Invalid value: "10": one step 11 is larger than capacity value: 10']),
    (UPDATE, (spec(driver="e.example.com", nodeName="m"), BASE), ['spec.driver: Invalid value: "e.example.com": field is immutable', 'spec.nodeName: Invalid value: "m": field is immutable']),
    (UPDATE, (put(BASE, {"spec.pool.name": "q"}), BASE), ['spec.pool.name: Invalid value: "q": field is immutable']),
    (SLICE, spec(nodeName=None), ["spec: Required value: <one place>"]),
])  # fmt: skip
