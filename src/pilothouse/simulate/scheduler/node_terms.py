"""Node selectors: which nodes the terms of a node affinity match
(component-helpers scheduling/corev1/nodeaffinity)."""

from collections.abc import Mapping

from pilothouse.api.values.fields import Object


def matches_selector(selector: Object | None, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node matches a NodeSelector: one of its terms; none matches everything."""
    if selector is None:
        return True
    return any(matches_term(term, name, labels) for term in selector.get("nodeSelectorTerms") or ())


def matches_term(term: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node matches all of a term; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    own = {"metadata.name": name}
    return all(_matches(one, labels) for one in expressions) and all(_matches(one, own) for one in fields)


def _matches(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression.get("key", ""), expression.get("operator", "")
    values = expression.get("values") or ()
    value = labels.get(key)
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator not in ("Gt", "Lt") or value is None or len(values) != 1:
        return False
    try:
        have, than = int(value), int(next(iter(values)))
    except ValueError:
        return False
    return have > than if operator == "Gt" else have < than
