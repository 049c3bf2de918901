"""Warnings about node labels that are deprecated."""

from pilothouse.api.validate.node_labels import DEPRECATED, map_warnings, selector_warnings, term_warnings, topology_warnings

OS = "beta.kubernetes.io/os"
TEXT = DEPRECATED[OS]


def test_terms() -> None:
    term = {"matchExpressions": [{"key": OS}, {"key": "a", "values": ["-x"]}]}
    assert term_warnings(term, "t") == [f"t.matchExpressions[0].key: {OS} is {TEXT}"]
    texts = term_warnings(term, "t", check_values=True)
    assert texts[1].startswith("t.matchExpressions[1].values[0]: -x is invalid, a valid label must be")


def test_selectors() -> None:
    selector = {"matchLabels": {OS: "a", "a": "b"}, "matchExpressions": [{"key": "a"}, {"key": OS}]}
    assert selector_warnings(selector, "s") == [f"s.matchExpressions[1].key: {OS} is {TEXT}", f"s.matchLabels.{OS}: {TEXT}"]
    assert selector_warnings(None, "s") == []


def test_topologies_and_maps() -> None:
    topologies = [{}, {"matchLabelExpressions": [{"key": "a"}, {"key": OS}]}]
    assert topology_warnings(topologies, "t") == [f"t[1].matchLabelExpressions[1].key: {TEXT}"]
    assert map_warnings({OS: "a", "a": "b"}, "m") == [f"m: {TEXT}"]
