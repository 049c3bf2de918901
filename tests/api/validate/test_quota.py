"""Every cause that resource quotas and limit ranges can have (pkg/apis/core/validation)."""

from typing import Any

from rules import at, below, each, gives, table, valid, within

from pilothouse.api.validate import quota as rules
from pilothouse.api.values.fields import Object

QUOTA, LIMITS = within("spec.scopeSelector.matchExpressions", rules.validate_quota), within("spec.limits[0]", rules.validate_limit_range)
UPDATE, STATUS = rules.validate_quota_update, rules.validate_quota_status


def quota(*scopes: str, hard: Object | None = None, **spec: object) -> Object:
    return {"spec": {"hard": hard or {"pods": "1"}, "scopes": list(scopes), **spec}}


limit = at({}, "spec.limits[]", {"type": "Container"})
selector = each(quota(), "spec.scopeSelector.matchExpressions")


def cpu(**members: str) -> Object:
    amounts: dict[str, Any] = {name: {"cpu": value} for name, value in members.items()}
    return limit(**amounts)


test_causes = table([
    *valid(QUOTA, quota("Terminating", hard={"cpu": "1", "count/pods": "1"}), quota("VolumeAttributesClass", hard={"persistentvolumeclaims": "1"})),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "In", "values": ["a"]})),
    (QUOTA, quota(hard={"a b": "1", "odd": "1", "pods": "-1", "services": "1500m"}), *below("spec.hard", '[a b]="a b" : <name part>', '[a b]="a b" : must be a standard resource for quota',
        '[odd]="odd" : <no standard resource>', '[odd]="odd" : must be a standard resource for quota', "[pods] : <not negative>", "[services] : must be an integer")),
    (QUOTA, {"status": {"hard": {"odd": "1"}, "used": {"pods": "-1"}}}, 'status.hard[odd]="odd" : <no standard resource>', 'status.hard[odd]="odd" : must be a standard resource for quota',
        "status.used[pods] : <not negative>"),
    (QUOTA, quota("Odd"), "spec.scopes : unsupported scope"),
    (QUOTA, quota("BestEffort", hard={"cpu": "1", "memory": "1"}), "spec.scopes : unsupported scope applied to resource", "spec.scopes : unsupported scope applied to resource"),
    (QUOTA, quota("Terminating", "NotTerminating"), "spec.scopes : conflicting scopes"),
    (QUOTA, selector({"scopeName": "Odd", "operator": "Odd"}), '~.scopeName="Odd" : unsupported scope', '~.operator="Odd" : not a valid selector operator'),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "NotIn"}), "~.values! : must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "Exists", "values": ["a"]}), "~.values=[\"a\"] : must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"),
    (QUOTA, selector({"scopeName": "Terminating", "operator": "In", "values": ["a"]}),
        "~.operator=\"In\" : must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"),
    (QUOTA, selector({"scopeName": "VolumeAttributesClass", "operator": "Exists"}),
        '~={"MatchExpressions":[{"ScopeName":"VolumeAttributesClass","Operator":"Exists","Values":null}]} : unsupported scope applied to resource'),
    (QUOTA, selector(*({"scopeName": s, "operator": "Exists"} for s in ("BestEffort", "NotBestEffort"))), "~=null : conflicting scopes"),
    (UPDATE, (quota("Terminating"), quota("Terminating"))),
    (UPDATE, (quota("Terminating"), quota()), "spec.scopes fixed"),
    (STATUS, {"status": {"used": {"pods": "1"}}}),
    *valid(LIMITS, limit(max={"cpu": "2"}, min={"cpu": "1"}), limit(type="PersistentVolumeClaim", max={"storage": "1Gi"}), cpu(min="0", max="2", maxLimitRequestRatio="3")),
    (LIMITS, limit(min={"cpu": "1"}, max={"cpu": "9223372036854775807"}, maxLimitRequestRatio={"cpu": "3"})),
    (LIMITS, {"spec": {"limits": [{"type": "Odd"}, {"type": "Pod"}, {"type": "Pod"}, {"type": "a b"}]}}, "~.type : must be a standard limit type or fully qualified", "spec.limits[2].type unique",
        "spec.limits[3].type : <name part>"),
    (LIMITS, limit(type="Pod", default={"cpu": "1"}, defaultRequest={"cpu": "1"}), "~.default,defaultRequest- : may not be specified when `type` is 'Pod'"),
    (LIMITS, limit(type="PersistentVolumeClaim"), "~.limits! : either minimum or maximum storage value is required, but neither was provided"),
    (LIMITS, limit(max={"odd": "1"}), '~.max[odd]="odd" : <no standard resource>', '~.max[odd]="odd" : must be a standard resource for containers'),
    (LIMITS, cpu(min="2", max="1"), "~.min[cpu] : min value 2 is greater than max value 1"),
    (LIMITS, cpu(min="3", defaultRequest="2", default="1"), "~.defaultRequest[cpu] : min value 3 is greater than default request value 2",
        "~.defaultRequest[cpu] : default request value 2 is greater than default limit value 1", '~.default[cpu]="3" : min value 3 is greater than default value 1'),
    (LIMITS, cpu(defaultRequest="3", max="2"), "~.defaultRequest[cpu] : default request value 3 is greater than max value 2"),
    (LIMITS, cpu(default="3", max="2"), '~.default[cpu]="2" : default value 3 is greater than max value 2'),
    (LIMITS, cpu(maxLimitRequestRatio="500m"), "~.maxLimitRequestRatio[cpu] : ratio 500m is less than 1"),
    (LIMITS, cpu(min="1", max="2", maxLimitRequestRatio="3"), "~.maxLimitRequestRatio[cpu] : ratio 3 is greater than max/min = 2.000000"),
    (LIMITS, limit(default={"example.com/a": "2"}, defaultRequest={"example.com/a": "1"}), "~.defaultRequest[example.com/a] : default value 2 must equal to defaultRequest value 1 in example.com/a"),
    (QUOTA, quota("BestEffort", "BestEffort", hard={"pods": "1", "cpu": "1", "services": "1", "example.com/a": "1"}),
        *['spec.scopes: Invalid value: ["BestEffort","BestEffort"]: unsupported scope applied to resource'] * 4),
    (QUOTA, quota("BestEffort", "NotBestEffort"), "spec.scopes : conflicting scopes"),
])  # fmt: skip
test_limits_below_requests_are_warned_of = gives(rules.quota_warnings, [
    (quota(hard={"cpu": "1", "limits.cpu": "2"}), []),
    (quota(hard={"cpu": "3", "limits.cpu": "2"}), ["ResourceQuota cpu (3) should be less than limits.cpu (2)"]),
    (quota(hard={"requests.memory": "2", "limits.memory": "1"}), ["ResourceQuota requests.memory (2) should be less than limits.memory (1)"]),
])  # fmt: skip
