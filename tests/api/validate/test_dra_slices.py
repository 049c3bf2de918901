"""Every cause that resource slices can have (pkg/apis/resource/validation)."""

from rules import GONE, at, below, changed, put, table, valid, within

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
    *valid(SLICE, BASE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [TERM]}), spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [VALUES]})),
    *valid(SLICE, device(attributes={"a": ONE, "d.example.com/b": {"version": "1.2.3-rc.1+x"}, "c": {"string": "s"}}), device(consumesCounters=[{"counterSet": "s", "counters": {"m": {}}}])),
    *valid(SLICE, apart(nodeName="n"), apart(nodeSelector={"nodeSelectorTerms": [TERM]}), device(capacity={"mem": {"value": "1"}}), capacity(default="1")),
    *valid(SLICE, capacity(default="1", validValues=["1", "2"]), capacity(default="2", validRange={"min": "1", "max": "10", "step": "1"})),
    (SLICE, {}, "spec.driver!", "spec.pool.name!", "spec.pool.resourceSliceCount=0 : must be greater than zero", "spec! : <one place>"),
    (SLICE, spec(driver="D" * 64), "spec.driver max:63"),
    (SLICE, spec(pool={"name": "p", "resourceSliceCount": 0, "generation": -1}), "spec.pool.resourceSliceCount : must be greater than zero",
        "spec.pool.generation : must be greater than or equal to zero"),
    (SLICE, spec(nodeName=""), "spec.nodeName : must be either unset or set to a non-empty string", "spec! : <one place>"),
    (SLICE, spec(nodeName="N_"), "spec.nodeName : <RFC 1123 subdomain>"),
    (SLICE, spec(nodeName=GONE, allNodes=False), "spec.allNodes : must be either unset or set to true", "spec! : <one place>"),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [ODD_VALUES]}), "spec.nodeSelector.nodeSelectorTerms[0].matchExpressions[0].values[0] : <label value>"),
    (SLICE, spec(nodeName=GONE, nodeSelector={"nodeSelectorTerms": [TERM, TERM]}),
        'spec.nodeSelector.nodeSelectorTerms=[{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null},{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null}] : must have exactly one node selector term'),
    (SLICE, spec(allNodes=True), 'spec="{`nodeName`, `allNodes`}" : <one place>, but multiple fields are set'),
    (SLICE, spec(sharedCounters=[COUNTERS]), 'spec="" : only one of `sharedCounters` or `devices` is allowed'),
    (SLICE, spec(devices=[], sharedCounters=[COUNTERS, COUNTERS, {}]), 'spec.sharedCounters[1]="s" unique', "spec.sharedCounters[2].name,counters!"),
    (SLICE, spec(devices=[], sharedCounters=[{"name": "S_", "counters": {f"c{i}": {} for i in range(33)}}]), *below("spec.sharedCounters[0]", ".name : <RFC 1123 label>", ".counters most:32")),
    (SLICE, spec(devices=[], sharedCounters=[{"name": "s", "counters": {"C_": {}}}]), 'spec.sharedCounters[0].counters="C_" : <RFC 1123 label>'),
    (SLICE, spec(devices=[{"name": f"d{i}"} for i in range(129)]), "spec.devices most:128"),
    (SLICE, spec(devices=[{"name": f"d{i}", "taints": [{"key": "a", "effect": "None"}]} for i in range(65)]), "spec.devices most:64"),
    (SLICE, spec(devices=[{"name": "a"}, {"name": "a"}, {"name": "A_"}]), 'spec.devices[1]="a" unique', "spec.devices[2].name : <RFC 1123 label>"),
    (SLICE, device(attributes={"1a": ONE, "/b": ONE}), '~.attributes="" : the domain must not be empty', '~.attributes="1a" : <C identifier>'),
    (SLICE, device(attributes={"a": {}, "b": {"int": 1, "bool": True}}), '~.attributes[a]="" : exactly one value must be specified',
        '~.attributes[b]={"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null} : exactly one value must be specified'),
    (SLICE, device(attributes={"a": {"string": "s" * 65}, "b": {"version": "1"}, "c": {"version": "1.0.0-" + "x" * 64}}), "~.attributes[a].string max:64",
        "~.attributes[b].version : must be a string compatible with semver.org spec 2.0.0", "~.attributes[c].version max:64"),
    (SLICE, device(attributes={f"a{i}": ONE for i in range(33)}), "~=33 : the total number of attributes and capacities must not exceed 32"),
    (SLICE, device(taints=[{"key": "a b", "value": "-", "effect": "Odd"}, {"key": "a"}]), "~.taints[0].key : <name part>", "~.taints[0].value : <label value>",
        "~.taints[0].effect NoExecute|NoSchedule|None", "~.taints[1].effect!"),
    (UPDATE, (device(taints=[{"key": "a"}]), device(taints=[{"key": "a"}]))),
    (UPDATE, (device(taints=[{"key": "b"}]), device(taints=[{"key": "a"}])), "spec.devices[0].taints[0].effect!"),
    (SLICE, device(consumesCounters=[{}, {}, {}]), "~.consumesCounters most:2", "~.consumesCounters[0].counterSet,counters!", "~.consumesCounters[1].counterSet,counters!",
        '~.consumesCounters[1]="" unique', "~.consumesCounters[2].counterSet,counters!", '~.consumesCounters[2]="" unique'),
    (SLICE, device(nodeName="n"), "~=null : `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"),
    (SLICE, apart(), "~! : <one place of a device>"),
    (SLICE, apart(nodeName=""), "~.nodeName : must not be empty", "~! : <one place of a device>"),
    (SLICE, apart(allNodes=False), "~.allNodes : must be either unset or set to true", "~! : <one place of a device>"),
    (SLICE, apart(nodeName="N_", allNodes=True), "~.nodeName : <RFC 1123 subdomain>", '~="{`nodeName`, `allNodes`}" : <one place of a device>'),
    (SLICE, device(capacity={"mem": {"value": "1", "requestPolicy": {"default": "1"}}}), "~.capacity[mem].requestPolicy- : allowMultipleAllocations must be true"),
    (SLICE, capacity(default="1", validValues=["1"], validRange={"min": "1"}),
        '~.capacity[mem].requestPolicy- : exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'),
    (SLICE, capacity(validValues=["1"]), "~.capacity[mem].requestPolicy.default! : required when validValues is defined"),
    (SLICE, capacity(validRange={"min": "1"}), "~.capacity[mem].requestPolicy.default! : required when validRange is defined"),
    (SLICE, capacity(default="3", validValues=["2", "1", "11", "11"]), *below("~.capacity[mem].requestPolicy", ".validValues[1] : values must be sorted in ascending order",
        ".validValues[2],[3] : option is larger than capacity value: 10", ".validValues[3] unique", '.validValues="3" : default value is not valid according to the requestPolicy')),
    (SLICE, capacity(default="1", validValues=[str(i) for i in range(11)]), "~.capacity[mem].requestPolicy.validValues most:10"),
    (SLICE, capacity(default="2", validRange={}), "~.capacity[mem].requestPolicy.validRange.min! : required when validRange is defined"),
    (SLICE, capacity(default="1", validRange={"min": "11", "max": "5"}), *below("~.capacity[mem].requestPolicy.validRange", ".min : min is larger than capacity value: 10",
        '.min="1" : default is less than min: 11', '.max="11" : min is larger than max: 5')),
    (SLICE, capacity(default="8", validRange={"min": "1", "max": "5"}), '~.capacity[mem].requestPolicy.validRange.max="8" : default is more than max: 5'),
    (SLICE, capacity(default="2", validRange={"min": "1", "max": "11"}), "~.capacity[mem].requestPolicy.validRange.max : max is larger than capacity value: 10"),
    (SLICE, capacity(default="4", validRange={"min": "1", "max": "8", "step": "2"}),
        *below("~.capacity[mem].requestPolicy.validRange", '.step="4" : value is not a multiple of a given step (2) from (1)', '.step="8" : value is not a multiple of a given step (2) from (1)')),
    (SLICE, capacity(default="1", validRange={"min": "1", "step": "10"}), "~.capacity[mem].requestPolicy.validRange.step : one step 11 is larger than capacity value: 10"),
    (UPDATE, (spec(driver="e.example.com", nodeName="m"), BASE), "spec.driver,nodeName fixed"),
    (UPDATE, (put(BASE, {"spec.pool.name": "q"}), BASE), "spec.pool.name fixed"),
])  # fmt: skip
