"""How messages print values of upstream's types."""

from pilothouse.api.validate import shown


def test_maps_are_in_order_and_never_empty() -> None:
    assert list(shown.sorted_map({"b": 1, "a": 2}) or {}) == ["a", "b"]
    assert shown.sorted_map({}) is None


def test_label_selectors_leave_out_what_is_empty() -> None:
    assert shown.label_selector(None) is None
    assert shown.label_selector({"matchLabels": {}}) == {}
    expression = {"key": "a", "operator": "In", "values": ["b"]}
    whole = {"matchLabels": {"a": "b"}, "matchExpressions": [expression, {"operator": "Exists", "key": "c"}]}
    assert shown.label_selector(whole) == whole


def test_node_selector_terms_have_the_names_of_go() -> None:
    assert shown.node_selector_terms([]) is None
    term = {"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}
    requirement = {"Key": "a", "Operator": "In", "Values": ["b"]}
    assert shown.node_selector_terms([term]) == [{"MatchExpressions": None, "MatchFields": [requirement]}]
