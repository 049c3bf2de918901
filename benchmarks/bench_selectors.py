"""Selector matching, compiled against the plain version kept here (pytest-benchmark)."""

from typing import Any

import pytest

from pilothouse.api.values import selectors

LABELS = {"app": "web", "tier": "front", "pod-template-hash": "5d4f8c7b9", "controller-revision": "3"}
TEXT = "app=web,tier in (front,back),!canary"


def plain_match(terms: list[tuple[str, str, Any]], labels: dict[str, str]) -> bool:
    for key, op, values in terms:
        if op in {"exists", "!"}:
            if (key in labels) != (op == "exists"):
                return False
        elif (labels.get(key) in values) != (op in {"=", "==", "in"}):
            return False
    return True


@pytest.mark.parametrize("version", ["compiled", "plain"])
def test_match(benchmark: Any, version: str) -> None:
    selector = selectors.parse(TEXT, "")
    terms = [(term.key, term.op, term.values) for term in selector.labels]
    if version == "compiled":
        assert benchmark(selector.matches_labels, LABELS)
    else:
        assert benchmark(plain_match, terms, LABELS)


def test_parse(benchmark: Any) -> None:
    benchmark(selectors.parse, TEXT, "metadata.name=a")
