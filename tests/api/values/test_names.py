import sys
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values import addresses, names
from pilothouse.api.values._names import Shape
from pilothouse.api.values.fields import Errors


@pytest.mark.parametrize("name", ["a", "a.b", "0-9", "a" * 253, "x--y.z"])
def test_subdomains(name: str) -> None:
    assert names.dns_subdomain(name) == []


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a..b", "a_b", "a\n", "ä"])
def test_no_subdomains(name: str) -> None:
    assert names.dns_subdomain(name) == [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and"
        " must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
        r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    ]


def test_length_is_told_before_form() -> None:
    assert names.dns_subdomain("a" * 254) == ["must be no more than 253 characters"]
    assert len(names.dns_label("A" * 64)) == 2


def test_prefix_may_end_in_a_dash() -> None:
    assert names.dns_subdomain("job-", True) == []
    assert names.dns_subdomain("job-", False)
    assert names.dns_label("a-", True) == []
    assert names.dns1035_label("1a-", True)


def test_label_with_dots() -> None:
    assert names.dns_label("a.b") == ["must not contain dots"]


def test_path_segment() -> None:
    assert names.path_segment("..") == ["may not be '..'"]
    assert names.path_segment("..", True) == []
    assert names.path_segment("a%b/c") == ["may not contain '/'", "may not contain '%'"]
    assert names.path_segment("system:A b") == []


def test_qualified_names() -> None:
    assert names.qualified_name("example.com/My_Name.1") == []
    assert names.qualified_name("/a") == ["prefix part must be non-empty"]
    assert names.qualified_name("a/")[0] == "name part must be non-empty"
    assert names.qualified_name("a" * 64) == ["name part must be no more than 63 bytes"]
    assert names.qualified_name("a/b/c")[0].startswith("a valid label key must consist of alphanumeric")
    assert names.qualified_name("A/b")[0].startswith("prefix part a lowercase RFC 1123 subdomain")
    assert names.annotation_key("Example.COM/x") == []


def test_label_values() -> None:
    assert names.label_value("") == []
    assert names.label_value("a" * 64) == ["must be no more than 63 bytes"]
    assert "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used" in names.label_value("-")[0]


def test_config_keys_and_variables() -> None:
    assert names.config_map_key("a.b_c-D") == []
    assert names.config_map_key("..") == ["must not be '..'"]
    assert names.config_map_key("..a") == ["must not start with '..'"]
    assert names.relaxed_env_var_name("1 x") == []
    assert names.relaxed_env_var_name("") == ["environment variable name must be non-empty"]
    assert len(names.relaxed_env_var_name("a=b")) == 1


def test_ports_and_ids() -> None:
    assert names.port_name("http-2") == []
    assert names.port_name("-1--") == [
        "must contain at least one letter (a-z)",
        "must not contain consecutive hyphens",
        "must not begin or end with a hyphen",
    ]
    assert names.port_number(0) == ["must be between 1 and 65535, inclusive"]
    assert names.user_id(-1) == ["must be between 0 and 2147483647, inclusive"]


def test_rules_that_name_several_values() -> None:
    errs = Errors()
    names.domain_prefixed_path(errs, "a", "acme.io")
    names.fully_qualified_name(errs, "c", "a.b")
    names.fully_qualified_domain_name(errs, "d", "a.b.")
    assert [c["field"] for c in errs.causes] == ["a", "c"]


@settings(max_examples=25 * SCALE)
@given(st.text(max_size=40))
def test_no_value_breaks_a_rule(value: Any) -> None:
    for rule in (
        names.dns_label,
        names.qualified_name,
        names.label_value,
        addresses.ip,
        addresses.cidr,
        names.config_map_key,
    ):
        assert all(isinstance(text, str) for text in rule(value))
    addresses.ip_warnings("p", value)
    addresses.cidr_warnings("p", value)


def test_a_declared_rule_judges_no_prefix() -> None:
    assert names.long_name("A_", True) == [] and names.long_name("A_") == names.dns_subdomain("A_")


WITH_SHAPE: list[Any] = [
    names.dns_subdomain,
    names.dns_label,
    names.dns1035_label,
    names.qualified_name,
    names.annotation_key,
    names.label_value,
    names.relaxed_env_var_name,
    names.config_map_key,
]
LONG = st.builds(
    lambda text, times: text * times, st.sampled_from(["a", "a.", "A", "a/b", "=~"]), st.integers(1, 520)
)


@pytest.mark.parametrize("rule", WITH_SHAPE, ids=lambda rule: rule.__name__)
@settings(max_examples=150 * SCALE, deadline=None)
@given(text=st.text("aZ9-_./:=~ \n\x7fäK", max_size=12) | LONG)
def test_a_shape_passes_only_what_the_rule_passes(rule: Any, text: str) -> None:
    assert rule(text) == rule.__wrapped__(text)


@pytest.mark.parametrize("rule", WITH_SHAPE, ids=lambda rule: rule.__name__)
def test_the_rule_is_not_asked_about_usual_names(rule: Any) -> None:
    ran: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, arg: ran.append(frame.f_code.co_name) if event == "call" else None)
    try:
        wrong = rule("abc")
    finally:
        sys.setprofile(before)
    assert (wrong, ran) == ([], [])


def test_a_prefix_is_judged_by_the_rule() -> None:
    asked: list[Any] = []

    def rule(*asked_about: Any) -> list[str]:
        asked.append(asked_about)
        return []

    passing = Shape("a", "ab", "b", 4, ".").passes(rule)
    for text in ("ab", "ab.ab", "a.ab", ".ab", "ab.", "aabb", "aaabb", "ä"):
        passing(text)
    passing("ab", True)
    assert asked == [("ab.ab",), ("a.ab",), (".ab",), ("ab.",), ("aaabb",), ("ä",), ("ab", True)]


KEYS = st.one_of(
    st.sampled_from(("a", "a/b", "example.com/a-b.c", "A/B", "a//b", "/b", "a/", "", "ä", "a" * 64, "-a")),
    st.text("aB-_./", max_size=8),
)


@settings(max_examples=100 * SCALE)
@given(st.dictionaries(KEYS, st.one_of(KEYS, st.text(max_size=5)), max_size=4))
def test_maps_that_are_passed_as_a_whole(members: dict[str, str]) -> None:
    if names.plain_labels(members):
        assert not [wrong for key in members for wrong in names.qualified_name(key)]
        assert not [wrong for value in members.values() for wrong in names.label_value(value)]
    if names.plain_annotations(members, 40):
        assert not [wrong for key in members for wrong in names.annotation_key(key)]
        assert sum(names.size(text) for pair in members.items() for text in pair) <= 40


def test_most_maps_are_passed_as_a_whole() -> None:
    assert names.plain_labels({}) and names.plain_labels({"app": "web", "app.kubernetes.io/name": "a_B.c"})
    assert not names.plain_labels({"app": ""}), "its rule is asked"
    members = {"example.com/note": "any text, ~"}
    assert names.plain_annotations(members, 27) and not names.plain_annotations(members, 26)
    assert not names.plain_annotations({"example.com/note": "é"}, 100), "its bytes are counted elsewhere"
    wrong: Any = {"a": 1}
    assert not names.plain_annotations(wrong, 100) and not names.plain_labels(wrong)
