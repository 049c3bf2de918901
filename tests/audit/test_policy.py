"""The audit policy: what is read and refused, and which rule decides."""

import json
import logging
import pathlib
from typing import Any

import pytest
from audit.kept import policy
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import pairs

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.audit.policy import LEVELS, STAGES, AuditPolicyError, AuditVerdict, load, parse

Object = dict[str, Any]


def problem(data: bytes) -> str:
    with pytest.raises(AuditPolicyError) as found:
        parse(data)
    return str(found.value)


def rule(**members: Any) -> bytes:
    return policy({"level": "Metadata", **members})


BOTH = "rules cannot apply to both regular resources and non-resource URLs"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (policy({}), "rules[0].level: Required value"),
        (
            policy({"level": "FooLevel"}),
            (
                'rules[0].level: Unsupported value: "FooLevel": supported values: "None", "Metadata",'
                ' "Request", "RequestResponse"'
            ),
        ),
        (
            rule(nonResourceURLs=["foo"]),
            (
                'rules[0].nonResourceURLs[0]: Invalid value: "foo": non-resource URL rules must begin with'
                " a '/' character"
            ),
        ),
        (
            rule(nonResourceURLs=["/a*b"]),
            (
                "rules[0].nonResourceURLs[0]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be"
                " the final character of the rule"
            ),
        ),
        (
            rule(resources=[{"group": "rbac.authorization.k8s.io/v1beta1"}]),
            (
                'rules[0].resources.group: Invalid value: "rbac.authorization.k8s.io/v1beta1": a lowercase'
                " RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
                " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation"
                " is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ),
        ),
        (
            rule(resources=[{"resourceNames": ["a"]}]),
            (
                'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at'
                " least one resource"
            ),
        ),
        (
            rule(omitStages=["Foo"]),
            (
                'rules[0].omitStages[0]: Invalid value: "Foo": allowed stages are '
                "RequestReceived,ResponseStarted,ResponseComplete,Panic"
            ),
        ),
        (
            policy({"level": "None"}, omitStages=["Foo"]),
            (
                'omitStages[0]: Invalid value: "Foo": allowed stages are '
                "RequestReceived,ResponseStarted,ResponseComplete,Panic"
            ),
        ),
        (
            rule(nonResourceURLs=["/a"], namespaces=["b"]),
            f'rules[0].nonResourceURLs: Invalid value: ["/a"]: {BOTH}',
        ),
        (
            policy({}, {"level": "Metadata", "nonResourceURLs": ["/a"], "resources": [{}]}),
            f'[rules[0].level: Required value, rules[1].nonResourceURLs: Invalid value: ["/a"]: {BOTH}]',
        ),
        (policy(), "loaded illegal policy with 0 rules"),
    ],
)
def test_what_upstream_refuses_is_refused_in_its_words(data: bytes, message: str) -> None:
    assert problem(data) == message


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"rules: [{level: None}]\nkind: Policy", "failed decoding: Object 'apiVersion' is missing in"),
        (
            b"rules: [{level: None}]\napiVersion: audit.k8s.io/v1",
            "failed decoding: Object 'Kind' is missing in",
        ),
        (b"kind: Policy\napiVersion: audit.k8s.io/v1beta1", 'no kind "Policy" is registered for version'),
        (b"kind: Event\napiVersion: audit.k8s.io/v1", 'no kind "Event" is registered'),
        (b"- a", "failed decoding: couldn't get version/kind"),
        (b"a: [", "failed decoding: "),
        (rule(verbs="get"), "cannot unmarshal string into Go struct field Policy.verbs"),
        (rule(verbs=[1]), "cannot unmarshal number into Go struct field Policy.verbs"),
        (
            rule(omitManagedFields="yes"),
            "cannot unmarshal string into Go struct field Policy.omitManagedFields",
        ),
        (rule(resources=["pods"]), "cannot unmarshal string into Go struct field Policy.resources"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, part: str) -> None:
    assert part in problem(data)


def test_other_members_are_logged_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = parse(policy({"level": "Request", "verb": ["get"]}, extra=1))
    assert found.decide(None, AuthorizationAttributes(User("a"), "get", "/x")).level == LEVELS.index(
        "Request"
    )
    assert pairs(caplog.records[0])["err"] == (
        'strict decoding error: unknown field "extra", unknown field "rules[0].verb"'
    )


def test_a_file_says_where_it_failed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "policy.yaml"
    with pytest.raises(
        AuditPolicyError, match=r"failed to read file path .*: open .*: no such file or directory"
    ):
        load(str(path))
    path.write_bytes(policy({}))
    with pytest.raises(AuditPolicyError, match=rf"rules\[0\].level: Required value: from file {path}"):
        load(str(path))
    path.write_bytes(policy({"level": "None"}))
    assert len(load(str(path)).rules) == 1


def pods(verb: str = "get", subresource: str = "", **more: Any) -> AuthorizationAttributes:
    members = {"namespace": "default", "name": "p", "group": "", **more}
    return AuthorizationAttributes(
        User("jane"), verb, "/x", True, version="v1", resource="pods", subresource=subresource, **members
    )


@pytest.mark.parametrize(
    ("resources", "matches"),
    [
        (["pods"], [True, False]),
        (["pods/log"], [False, True]),
        (["pods/*"], [True, True]),
        (["*/log"], [False, True]),
        (["*"], [True, True]),
        (["*/scale"], [False, False]),
        ([], [True, True]),
    ],
)
def test_resources_and_subresources(resources: list[str], matches: list[bool]) -> None:
    found = parse(rule(resources=[{"group": "", "resources": resources}]))
    levels = [found.decide(User("jane"), pods(subresource=sub)).level for sub in ("", "log")]
    assert levels == [int(one) for one in matches]


def test_stages_and_managed_fields_of_a_rule_and_of_all() -> None:
    found = parse(
        policy(
            {"level": "Metadata", "verbs": ["get"], "omitStages": ["Panic"], "omitManagedFields": False},
            {"level": "Request", "verbs": ["list"]},
            omitStages=["RequestReceived"],
            omitManagedFields=True,
        )
    )
    both = frozenset(("RequestReceived", "Panic"))
    assert found.decide(None, pods("get")) == AuditVerdict(1, both, False)
    assert found.decide(None, pods("list")) == AuditVerdict(2, frozenset(("RequestReceived",)), True)
    assert found.decide(None, pods("watch")) == AuditVerdict(0, frozenset(("RequestReceived",)), True)


# The first rule that matches decides: against an oracle that is written as the rules are told.

WORDS = st.sampled_from(["a", "b", "ab", ""])
URLS = st.sampled_from(["*", "/a", "/a/*", "/ab*", "/b"])
RESOURCES = st.sampled_from(["*", "pods", "pods/log", "pods/*", "*/log", "nodes"])


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, max_size=2)


GROUPS = st.fixed_dictionaries(
    {
        "group": st.sampled_from(["", "*", "apps"]),
        "resources": lists(RESOURCES),
        "resourceNames": lists(WORDS),
    }
).map(lambda one: one if one["resources"] else {**one, "resourceNames": []})

RULES = st.fixed_dictionaries(
    {"level": st.sampled_from(LEVELS)},
    optional={
        "users": lists(WORDS),
        "userGroups": lists(WORDS),
        "verbs": lists(st.sampled_from(["get", "list"])),
        "namespaces": lists(WORDS),
        "resources": st.lists(GROUPS, max_size=2),
        "nonResourceURLs": lists(URLS),
        "omitStages": lists(st.sampled_from(STAGES)),
    },
).filter(lambda r: not (r.get("nonResourceURLs") and (r.get("namespaces") or r.get("resources"))))

REQUESTS = st.builds(
    AuthorizationAttributes,
    st.just(User("")),
    st.sampled_from(["get", "list"]),
    st.sampled_from(["/a", "/a/b", "/ab", "/b", "/"]),
    st.booleans(),
    st.sampled_from(["", "apps"]),
    st.just("v1"),
    st.sampled_from(["pods", "nodes"]),
    st.sampled_from(["", "log"]),
    WORDS,
    WORDS,
)
USERS = st.one_of(st.none(), st.builds(lambda n, g: User(n, groups=tuple(g)), WORDS, lists(WORDS)))


def applies(rule: Object, user: User | None, a: AuthorizationAttributes) -> bool:
    """Whether a rule is about a request, member by member."""
    name = user.name if user else None
    groups = user.groups if user else ()
    if rule.get("users") and name not in rule["users"]:
        return False
    if rule.get("userGroups") and not any(group in groups for group in rule["userGroups"]):
        return False
    if rule.get("verbs") and a.verb not in rule["verbs"]:
        return False
    if rule.get("nonResourceURLs"):
        return not a.is_resource and any(
            url in ("*", a.path) or (url[-1] == "*" and a.path.startswith(url[:-1]))
            for url in rule["nonResourceURLs"]
        )
    if not rule.get("namespaces") and not rule.get("resources"):
        return True
    if not a.is_resource or (rule.get("namespaces") and a.namespace not in rule["namespaces"]):
        return False
    return not rule.get("resources") or any(among(one, a) for one in rule["resources"])


def among(one: Object, a: AuthorizationAttributes) -> bool:
    if one["group"] != "*" and one["group"] != a.group:
        return False
    if not one["resources"]:
        return True
    if one["resourceNames"] and a.name not in one["resourceNames"]:
        return False
    for resource in one["resources"]:
        left, _, right = resource.partition("/")
        if resource in ("*", f"{a.resource}/*"):
            return True
        if left in ("*", a.resource) and right == a.subresource and (a.subresource or left != "*"):
            return True
    return False


@settings(max_examples=150 * SCALE)
@given(st.lists(RULES, min_size=1, max_size=4), USERS, REQUESTS)
def test_the_first_rule_that_matches_decides(
    rules: list[Object], user: User | None, a: AuthorizationAttributes
) -> None:
    found = parse(json.dumps(json.loads(policy(*rules))).encode()).decide(user, a)
    first = next((one for one in rules if applies(one, user, a)), {"level": "None"})
    assert LEVELS[found.level] == first["level"]
    assert found.omitted == frozenset(first.get("omitStages", ()))
