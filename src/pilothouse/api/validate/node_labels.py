"""Warns about node selectors that use deprecated node labels (pkg/api/node)."""

from pilothouse.api.values import names
from pilothouse.api.values.fields import Object

DEPRECATED = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}


def term_warnings(term: Object, path: str, *, check_values: bool = False) -> list[str]:
    """Warnings for a node selector term; with `check_values` also for values that match no valid label."""
    out = []
    for i, expression in enumerate(term.get("matchExpressions") or ()):
        key, at = expression.get("key", ""), f"{path}.matchExpressions[{i}]"
        if key in DEPRECATED:
            out.append(f"{at}.key: {key} is {DEPRECATED[key]}")
        if check_values:
            for j, value in enumerate(expression.get("values") or ()):
                out += [f"{at}.values[{j}]: {value} is invalid, {m}" for m in names.label_value(value)]
    return out


def selector_warnings(selector: Object | None, path: str) -> list[str]:
    """Warnings for a label selector of nodes."""
    selector = selector or {}
    out = []
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        key = expression.get("key", "")
        if key in DEPRECATED:
            out.append(f"{path}.matchExpressions[{i}].key: {key} is {DEPRECATED[key]}")
    labels = selector.get("matchLabels") or ()
    return out + [
        f"{path}.matchLabels.{name}: {DEPRECATED[name]}" for name in sorted(labels) if name in DEPRECATED
    ]


def topology_warnings(topologies: list[Object], path: str) -> list[str]:
    """Warnings for the topologies that a storage class allows."""
    return [
        f"{path}[{i}].matchLabelExpressions[{j}].key: {DEPRECATED[expression['key']]}"
        for i, topology in enumerate(topologies)
        for j, expression in enumerate(topology.get("matchLabelExpressions") or ())
        if expression.get("key", "") in DEPRECATED
    ]


def map_warnings(labels: Object, path: str) -> list[str]:
    """Warnings for a map of labels of nodes, each at the map's own path."""
    return [f"{path}: {DEPRECATED[label]}" for label in sorted(labels) if label in DEPRECATED]
