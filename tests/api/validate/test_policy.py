"""Validation of pod disruption budgets (pkg/apis/policy/validation)."""

from rules import at, changed, table

from pilothouse.api.validate import policy as rules

BUDGET, STATUS = rules.validate_budget, rules.validate_budget_status
CONDITION = {"type": "Ok", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Fine"}
BAD_SELECTOR = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}


budget = at({}, "spec", {})
test_budgets = table([
    (BUDGET, {}, []),
    (BUDGET, budget(minAvailable=1, selector={"matchLabels": {"a": "b"}}), []),
    (BUDGET, budget(minAvailable="50%", unhealthyPodEvictionPolicy="IfHealthyBudget"), []),
    (BUDGET, budget(minAvailable=1, maxUnavailable="10%"),
        ['spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":"10%","UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set']),
    (BUDGET, budget(minAvailable=-1), ["spec.minAvailable: Invalid value: -1: <not negative>"]),
    (BUDGET, budget(minAvailable="110%"), ['spec.minAvailable: Invalid value: "110%": must not be greater than 100%']),
    (BUDGET, budget(maxUnavailable="some"), ['spec.maxUnavailable: Invalid value: "some": <percent>']),
    (BUDGET, budget(unhealthyPodEvictionPolicy="Never"), ['spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"']),
    (BUDGET, budget(selector=BAD_SELECTOR), ['spec.selector.matchExpressions[0].values[0]: Invalid value: "-": <label value>']),
    (changed(BUDGET), (budget(selector=BAD_SELECTOR), budget(selector=BAD_SELECTOR)), []),
    (changed(BUDGET), (budget(selector=BAD_SELECTOR), budget()), ['spec.selector.matchExpressions[0].values[0]: Invalid value: "-": <label value>']),
    (STATUS, ({"status": {"conditions": [CONDITION], "currentHealthy": 1}}, {}), []),
    (STATUS, ({"status": {"disruptionsAllowed": -1, "expectedPods": -2}}, {}), ["status.disruptionsAllowed: Invalid value: -1: <not negative>",
        "status.expectedPods: Invalid value: -2: <not negative>"]),
    (STATUS, ({"status": {"conditions": [{**CONDITION, "status": "Odd"}, CONDITION]}}, {}), ['status.conditions[0].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"',
        'status.conditions[1].type: Duplicate value: "Ok"']),
])  # fmt: skip
