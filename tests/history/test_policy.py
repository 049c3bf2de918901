"""Which changes a policy keeps, and which policies are refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.configfile import ConfigurationError
from pilothouse.history.policy import HistoryPolicy, HistoryRule, Keep, load, parse

HEAD = {"apiVersion": "pilothouse.dev/v1", "kind": "HistoryPolicy"}
RESOURCES = ("pods", "secrets", "deployments.apps", "daemonsets.apps", "events")
NAMESPACES = ("a", "b")
RULES = st.lists(
    st.builds(
        HistoryRule,
        st.lists(st.sampled_from([*RESOURCES, "*", "*.apps"]), min_size=1, max_size=3).map(tuple),
        st.lists(st.sampled_from(NAMESPACES), max_size=2).map(tuple),
        st.sampled_from(Keep),
    ),
    max_size=5,
)


def test_the_default() -> None:
    policy = HistoryPolicy()
    assert (policy.keep_for, policy.max_bytes) == (30 * 86_400, 1 << 30)
    for noise in ("events", "leases.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io"):
        assert policy.keep(noise, "default") is Keep.NOTHING
    for resource in ("pods", "secrets", "nodes", "widgets.example.com", "events.example.com"):
        assert policy.keep(resource, "default") is Keep.CHANGES
    assert policy.keep("", "") is Keep.NOTHING


def test_the_first_rule_that_fits_decides() -> None:
    policy = parse(
        HEAD
        | {
            "rules": [
                {"resources": ["secrets", "*.apps"], "namespaces": ["a"], "keep": "Everything"},
                {"resources": ["secrets"], "keep": "Nothing"},
                {"resources": ["*"], "namespaces": ["b"], "keep": "Nothing"},
            ]
        }
    )
    kept = {(one, ns): policy.keep(one, ns).value for one in ("secrets", "deployments.apps") for ns in "abc"}
    assert kept == {
        ("secrets", "a"): "Everything",
        ("secrets", "b"): "Nothing",
        ("secrets", "c"): "Nothing",
        ("deployments.apps", "a"): "Everything",
        ("deployments.apps", "b"): "Nothing",
        ("deployments.apps", "c"): "Changes",
    }
    assert policy.keep("events", "c") is Keep.CHANGES  # rules replace the default


@given(RULES)
def test_what_is_left_out_is_kept_nowhere(rules: Any) -> None:
    """The recorder does not read what is left out: that must be what the rules keep in no namespace."""
    policy = HistoryPolicy(rules=rules)
    left_out = policy.left_out(RESOURCES)
    for resource in RESOURCES:
        kept = {policy.keep(resource, namespace) for namespace in (*NAMESPACES, "c", "")}
        assert resource not in left_out or kept == {Keep.NOTHING}
    if len(rules) == 1:
        everywhere = rules[0].keep is Keep.NOTHING and not rules[0].namespaces
        assert left_out == [one for one in RESOURCES if everywhere and rules[0].fits(one, "a")]


@pytest.mark.parametrize(
    ("members", "seconds", "size"),
    [
        ({}, 30 * 86_400, 1 << 30),
        ({"keepFor": "1h30m"}, 5400, 1 << 30),
        ({"maxBytes": "2Gi"}, 30 * 86_400, 2 << 30),
        ({"maxBytes": 1 << 20}, 30 * 86_400, 1 << 20),
        ({"maxBytes": "1500k", "keepFor": "10ms"}, 0.01, 1_500_000),
    ],
)
def test_budgets(members: Any, seconds: float, size: int) -> None:
    policy = parse(HEAD | members)
    assert (policy.keep_for, policy.max_bytes) == (seconds, size)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"keepFor": "0s"}, 'keepFor: Invalid value: "0s"'),
        ({"keepFor": "-1h"}, 'keepFor: Invalid value: "-1h"'),
        ({"keepFor": 30}, 'keepFor: Invalid value: "30"'),
        ({"keepFor": None}, "keepFor: Invalid value"),
        ({"maxBytes": "1Ki"}, 'maxBytes: Invalid value: "1Ki": must be a quantity of at least 1Mi'),
        ({"maxBytes": "many"}, 'maxBytes: Invalid value: "many"'),
        ({"maxBytes": [1]}, "maxBytes: Invalid value"),
        ({"maxBytes": True}, "maxBytes: Invalid value"),
        ({"maxBytes": "1e9999999"}, "maxBytes: Invalid value"),
        ({"rules": {}}, "rules: it must be a list"),
        ({"rules": ["pods"]}, r"rules\[0\]: it must be an object"),
        ({"rules": [None]}, r"rules\[0\].resources: Required value"),
        ({"rules": [{"keep": "Nothing"}]}, r"rules\[0\].resources: Required value"),
        ({"rules": [{"resources": ["pods"]}]}, r"rules\[0\].keep: Unsupported value: \"\""),
        ({"rules": [{"resources": ["pods"], "keep": "All"}]}, 'Unsupported value: "All": supported values'),
        ({"rules": [{"resources": ["pods"], "keep": ["All"]}]}, "Unsupported value"),
        ({"rules": [{"resources": ["a", ""], "keep": "Nothing"}]}, r"rules\[0\].resources\[1\]: it must be"),
        (
            {"rules": [{"resources": ["a"], "namespaces": [1], "keep": "Nothing"}]},
            r"rules\[0\].namespaces\[0\]: it must be a text",
        ),
        ({"rules": [{"resources": "pods", "keep": "Nothing"}]}, r"rules\[0\].resources: it must be a list"),
        ({"rules": [{"resource": ["a"]}]}, r'unknown field \\?"rules\[0\].resource'),
        ({"keep": 1}, "unknown field"),
        ({"kind": "Policy"}, "HistoryPolicy"),
    ],
)
def test_a_policy_that_is_refused(members: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(HEAD | members)


def test_the_policy_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "apiVersion: pilothouse.dev/v1\nkind: HistoryPolicy\nkeepFor: 1h\n"
        "rules:\n- resources: ['*']\n  namespaces: [kube-system]\n  keep: Everything\n"
    )
    policy = load(str(path))
    assert policy.keep_for == 3600 and policy.keep("pods", "kube-system") is Keep.EVERYTHING
    with pytest.raises(ConfigurationError, match="history policy"):
        load(str(tmp_path / "none"))
