"""The flow schemas and priority levels that every server has (flowcontrol.apiserver.k8s.io/v1)."""

from pilothouse.api.values.fields import Object


def _everything(*groups: str) -> list[Object]:
    """Rules that match every request of these groups."""
    every = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "clusterScope": True,
        "namespaces": ["*"],
    }
    subjects = [{"kind": "Group", "group": {"name": group}} for group in groups]
    others = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    return [{"subjects": subjects, "resourceRules": [every], "nonResourceRules": [others]}]


MANDATORY_SCHEMAS: dict[str, Object] = {
    "exempt": {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": _everything("system:masters"),
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": 10_000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": _everything("system:unauthenticated", "system:authenticated"),
    },
}
MANDATORY_LEVELS: dict[str, Object] = {
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    "catch-all": {
        "type": "Limited",
        "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0},
    },
}
"""Specs of the mandatory objects, which must not be changed."""
