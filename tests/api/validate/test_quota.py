"""Every cause that resource quotas and limit ranges can have (pkg/apis/core/validation)."""

from typing import Any

from rules import below, each, table, within

from pilothouse.api.validate import quota as rules
from pilothouse.api.values.fields import Object

QUOTA, LIMITS = within("spec.scopeSelector.matchExpressions", rules.validate_quota), within("spec.limits[0]", rules.validate_limit_range)
UPDATE, STATUS = rules.validate_quota_update, rules.validate_quota_status


def quota(*scopes: str, hard: Object | None = None, **spec: object) -> Object:
    return {"spec": {"hard": hard or {"pods": "1"}, "scopes": list(scopes), **spec}}


selector = each(quota(), "spec.scopeSelector.matchExpressions")


def limit(kind: str = "Container", **members: object) -> Object:
    return {"spec": {"limits": [{"type": kind, **members}]}}


def cpu(**members: str) -> Object:
    amounts: dict[str, Any] = {name: {"cpu": value} for name, value in members.items()}
    return limit(**amounts)


test_causes = table([
    (QUOTA, quota("Terminating", hard={"cpu": "1", "count/pods": "1"}), []),
    (QUOTA, quota(hard={"a b": "1", "odd": "1", "pods": "-1", "services": "1500m"}), below("spec.hard", '[a b]: Invalid value: "a b": <name part>',
        '[a b]: Invalid value: "a b": must be a standard resource for quota', '[odd]: Invalid value: "odd": <no standard resource>',
        '[odd]: Invalid value: "odd": must be a standard resource for quota', '[pods]: Invalid value: "-1": <not negative>', '[services]: Invalid value: "1500m": must be an integer')),
    (QUOTA, {"status": {"hard": {"odd": "1"}, "used": {"pods": "-1"}}}, ['status.hard[odd]: Invalid value: "odd": <no standard resource>',
        'status.hard[odd]: Invalid value: "odd": must be a standard resource for quota', 'status.used[pods]: Invalid value: "-1": <not negative>']),
    (QUOTA, quota("Odd"), ['spec.scopes: Invalid value: ["Odd"]: unsupported scope']),
    (QUOTA, quota("BestEffort", hard={"cpu": "1", "memory": "1"}), ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource',
        'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource']),
    (QUOTA, quota("Terminating", "NotTerminating"), ['spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes']),
    (QUOTA, quota("VolumeAttributesClass", hard={"persistentvolumeclaims": "1"}), []),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "In", "values": ["a"]}), []),
    (QUOTA, selector({"scopeName": "Odd", "operator": "Odd"}), ['~.scopeName: Invalid value: "Odd": unsupported scope', '~.operator: Invalid value: "Odd": not a valid selector operator']),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "NotIn"}), ["~.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"]),
    (QUOTA, selector({"scopeName": "PriorityClass", "operator": "Exists", "values": ["a"]}),
        ["~.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"]),
    (QUOTA, selector({"scopeName": "Terminating", "operator": "In", "values": ["a"]}),
        ["~.operator: Invalid value: \"In\": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"]),
    (QUOTA, selector({"scopeName": "VolumeAttributesClass", "operator": "Exists"}),
        ['~: Invalid value: {"MatchExpressions":[{"ScopeName":"VolumeAttributesClass","Operator":"Exists","Values":null}]}: unsupported scope applied to resource']),
    (QUOTA, selector(*({"scopeName": s, "operator": "Exists"} for s in ("BestEffort", "NotBestEffort"))), ["~: Invalid value: null: conflicting scopes"]),
    (UPDATE, (quota("Terminating"), quota("Terminating")), []),
    (UPDATE, (quota("Terminating"), quota()), ['spec.scopes: Invalid value: ["Terminating"]: field is immutable']),
    (STATUS, {"status": {"used": {"pods": "1"}}}, []),
    (LIMITS, limit(max={"cpu": "2"}, min={"cpu": "1"}), []),
    (LIMITS, {"spec": {"limits": [{"type": "Odd"}, {"type": "Pod"}, {"type": "Pod"}, {"type": "a b"}]}}, ['~.type: Invalid value: "Odd": must be a standard limit type or fully qualified',
        'spec.limits[2].type: Duplicate value: "Pod"', 'spec.limits[3].type: Invalid value: "a b": <name part>']),
    (LIMITS, limit("Pod", default={"cpu": "1"}, defaultRequest={"cpu": "1"}), ["~.default: Forbidden: may not be specified when `type` is 'Pod'",
        "~.defaultRequest: Forbidden: may not be specified when `type` is 'Pod'"]),
    (LIMITS, limit("PersistentVolumeClaim"), ["~.limits: Required value: either minimum or maximum storage value is required, but neither was provided"]),
    (LIMITS, limit("PersistentVolumeClaim", max={"storage": "1Gi"}), []),
    (LIMITS, limit(max={"odd": "1"}), ['~.max[odd]: Invalid value: "odd": <no standard resource>', '~.max[odd]: Invalid value: "odd": must be a standard resource for containers']),
    (LIMITS, cpu(min="2", max="1"), ['~.min[cpu]: Invalid value: "2": min value 2 is greater than max value 1']),
    (LIMITS, cpu(min="3", defaultRequest="2", default="1"), ['~.defaultRequest[cpu]: Invalid value: "2": min value 3 is greater than default request value 2',
        '~.defaultRequest[cpu]: Invalid value: "2": default request value 2 is greater than default limit value 1', '~.default[cpu]: Invalid value: "3": min value 3 is greater than default value 1']),
    (LIMITS, cpu(defaultRequest="3", max="2"), ['~.defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than max value 2']),
    (LIMITS, cpu(default="3", max="2"), ['~.default[cpu]: Invalid value: "2": default value 3 is greater than max value 2']),
    (LIMITS, cpu(maxLimitRequestRatio="500m"), ['~.maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1']),
    (LIMITS, cpu(min="1", max="2", maxLimitRequestRatio="3"), ['~.maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000']),
    (LIMITS, cpu(min="0", max="2", maxLimitRequestRatio="3"), []),
    (LIMITS, limit(min={"cpu": "1"}, max={"cpu": "9223372036854775807"}, maxLimitRequestRatio={"cpu": "3"}), []),
    (LIMITS, limit(default={"example.com/a": "2"}, defaultRequest={"example.com/a": "1"}),
        ['~.defaultRequest[example.com/a]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in example.com/a']),
    (QUOTA, quota("BestEffort", "BestEffort", hard={"pods": "1", "cpu": "1", "services": "1", "example.com/a": "1"}),
        ['spec.scopes: Invalid value: ["BestEffort","BestEffort"]: unsupported scope applied to resource'] * 4),
    (QUOTA, quota("BestEffort", "NotBestEffort"), ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes']),
])  # fmt: skip


def test_limits_below_requests_are_warned_of() -> None:
    assert rules.quota_warnings(quota(hard={"cpu": "1", "limits.cpu": "2"})) == []
    assert rules.quota_warnings(quota(hard={"cpu": "3", "limits.cpu": "2", "requests.memory": "2", "limits.memory": "1"})) == [
        "ResourceQuota cpu (3) should be less than limits.cpu (2)",
        "ResourceQuota requests.memory (2) should be less than limits.memory (1)",
    ]
