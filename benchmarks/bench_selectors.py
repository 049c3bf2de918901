"""Selector matching, compiled against the plain version kept here (pytest-benchmark)."""

import pytest

from pilothouse.api import selectors

LABELS = {"app": "web", "tier": "front", "pod-template-hash": "5d4f8c7b9", "controller-revision": "3"}
TEXT = "app=web,tier in (front,back),!canary"


def plain_match(terms, labels):
    for key, op, values in terms:
        if op in {"exists", "!"}:
            if (key in labels) != (op == "exists"):
                return False
        elif (labels.get(key) in values) != (op in {"=", "==", "in"}):
            return False
    return True


@pytest.mark.parametrize("version", ["compiled", "plain"])
def test_match(benchmark, version):
    selector = selectors.parse(TEXT, "")
    terms = [(term.key, term.op, term.values) for term in selector.labels]
    if version == "compiled":
        assert benchmark(selector.matches_labels, LABELS)
    else:
        assert benchmark(plain_match, terms, LABELS)


def test_parse(benchmark):
    benchmark(selectors.parse, TEXT, "metadata.name=a")
