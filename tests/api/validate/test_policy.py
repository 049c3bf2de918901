"""Validation of pod disruption budgets (pkg/apis/policy/validation)."""

from rules import BAD, at, changed, table, valid

from pilothouse.api.validate import policy as rules

BUDGET, STATUS = rules.validate_budget, rules.validate_budget_status
CONDITION = {"type": "Ok", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Fine"}
budget = at({}, "spec", {})
test_budgets = table([
    *valid(BUDGET, {}, budget(minAvailable=1, selector={"matchLabels": {"a": "b"}}), budget(minAvailable="50%", unhealthyPodEvictionPolicy="IfHealthyBudget")),
    (BUDGET, budget(minAvailable=1, maxUnavailable="10%"),
        'spec={"MinAvailable":1,"Selector":null,"MaxUnavailable":"10%","UnhealthyPodEvictionPolicy":null} : minAvailable and maxUnavailable cannot be both set'),
    (BUDGET, budget(minAvailable=-1), "spec.minAvailable : <not negative>"),
    (BUDGET, budget(minAvailable="110%"), "spec.minAvailable : must not be greater than 100%"),
    (BUDGET, budget(maxUnavailable="some"), "spec.maxUnavailable : <percent>"),
    (BUDGET, budget(unhealthyPodEvictionPolicy="Never"), "spec.unhealthyPodEvictionPolicy AlwaysAllow|IfHealthyBudget"),
    (BUDGET, budget(selector=BAD), "spec.selector.matchExpressions[0].values[0] : <label value>"),
    (changed(BUDGET), (budget(selector=BAD), budget(selector=BAD))),
    (changed(BUDGET), (budget(selector=BAD), budget()), "spec.selector.matchExpressions[0].values[0] : <label value>"),
    (STATUS, ({"status": {"conditions": [CONDITION], "currentHealthy": 1}}, {})),
    (STATUS, ({"status": {"disruptionsAllowed": -1, "expectedPods": -2}}, {}), "status.disruptionsAllowed,expectedPods : <not negative>"),
    (STATUS, ({"status": {"conditions": [{**CONDITION, "status": "Odd"}, CONDITION]}}, {}), "status.conditions[0].status False|True|Unknown", "status.conditions[1].type unique"),
])  # fmt: skip
