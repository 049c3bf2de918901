"""Role based access control."""

from typing import Any

import pytest
from coroutines import at_once
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.rbac import RBACAuthorizer, rule_applies


def rule(verbs: str = "get", resources: str = "pods", groups: str = "", names: Any = None) -> Any:
    out = {"verbs": verbs.split(), "apiGroups": groups.split(",") or [""], "resources": resources.split()}
    return {**out, "resourceNames": names.split()} if names else out


def ask(
    verb: str = "get",
    resource: str = "pods",
    *,
    user: str = "jane",
    groups: Any = (),
    namespace: str = "ns",
    name: str = "",
    group: str = "",
) -> AuthorizationAttributes:
    resource, _, subresource = resource.partition("/")
    return AuthorizationAttributes(
        User(user, groups=tuple(groups)),
        verb,
        is_resource=True,
        group=group,
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def path(verb: str, url: str, user: str = "jane") -> AuthorizationAttributes:
    return AuthorizationAttributes(User(user), verb, path=url)


JANE = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}


@pytest.fixture
def rbac(readers: Any) -> RBACAuthorizer:
    return RBACAuthorizer(readers)


def test_a_role_binding_grants_in_its_namespace(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule(), namespace="ns")
    assert not at_once(rbac.authorize(ask())).allowed
    readers.bind("b", "r", JANE, namespace="ns", kind="Role")
    decision = at_once(rbac.authorize(ask()))
    assert decision.allowed and at_once(rbac.authorize(ask())) is decision
    assert decision.reason == 'RBAC: allowed by RoleBinding "b/ns" of Role "r" to User "jane"'
    for other in (
        ask("list"),
        ask(namespace="x"),
        ask(namespace=""),
        ask(user="jim"),
        ask(resource="pods/log"),
    ):
        assert not at_once(rbac.authorize(other)).allowed
    readers.delete("rolebindings.rbac.authorization.k8s.io", "ns", "b")
    assert not at_once(rbac.authorize(ask())).allowed


def test_a_cluster_role_binding_grants_everywhere(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule(), {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]})
    readers.bind("b", "r", {"kind": "Group", "name": "dev"})
    decision = at_once(rbac.authorize(ask(groups=["x", "dev"])))
    assert decision.reason == 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to Group "dev"'
    for url, allowed in [("/metrics", True), ("/metrics/x", False), ("/logs/x", True), ("/logs", False)]:
        assert (
            at_once(
                rbac.authorize(AuthorizationAttributes(User("x", groups=("dev",)), "get", path=url))
            ).allowed
            is allowed
        )


@pytest.mark.parametrize("namespace", ["", "ns"])
def test_service_accounts_are_subjects(readers: Any, rbac: RBACAuthorizer, namespace: str) -> None:
    readers.role("r", rule())
    readers.bind("b", "r", {"kind": "ServiceAccount", "name": "s", "namespace": namespace}, namespace="ns")
    readers.bind("c", "r", {"kind": "ServiceAccount", "name": "s"})
    decision = at_once(rbac.authorize(ask(user="system:serviceaccount:ns:s")))
    assert decision.reason.endswith('of ClusterRole "r" to ServiceAccount "s/ns"')
    assert not at_once(rbac.authorize(ask(user="system:serviceaccount:ns:s", namespace=""))).allowed


def test_names_limit_a_rule(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule(names="a b"), rule(names="b c", verbs="get list"))
    readers.bind("b", "r", JANE)
    allowed = {n for n in ("", "a", "b", "c", "d") if at_once(rbac.authorize(ask(name=n))).allowed}
    assert allowed == {"a", "b", "c"}
    assert not at_once(rbac.authorize(ask("list"))).allowed


def test_a_missing_role_shows_in_the_reason(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.bind("b", "gone", JANE, namespace="ns", kind="Role")
    readers.bind("c", "gone", JANE)
    text = (
        'RBAC: [clusterrole.rbac.authorization.k8s.io "gone" not found, '
        'role.rbac.authorization.k8s.io "gone" not found]'
    )
    assert at_once(rbac.authorize(ask())).reason == text
    assert rbac.rules_for(User("jane"), "ns").errors == [
        'clusterrole.rbac.authorization.k8s.io "gone" not found',
        'role.rbac.authorization.k8s.io "gone" not found',
    ]
    readers.role("gone", rule(), namespace="ns")
    assert at_once(rbac.authorize(ask())).allowed


def test_rules_are_listed_by_kind(readers: Any, rbac: RBACAuthorizer) -> None:
    readers.role("r", rule(names="a"), {"verbs": ["get"], "nonResourceURLs": ["/x"]})
    readers.bind("b", "r", JANE)
    rules = rbac.rules_for(User("jane"), "any")
    assert rules.resource == [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}
    ]
    assert rules.non_resource == [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]


@pytest.mark.parametrize(
    ("resources", "asked", "applies"),
    [
        ("pods", "pods/status", False),
        ("*/status", "pods/status", True),
        ("*/status", "pods", False),
        ("pods/*", "pods/status", False),
        ("*", "pods/status", True),
        ("pods/status", "pods", False),
    ],
)
def test_subresources_are_resources_of_their_own(resources: str, asked: str, applies: bool) -> None:
    assert rule_applies(ask(resource=asked), rule(resources=resources)) is applies


SUBJECTS = st.sampled_from(
    [
        {"kind": "User", "name": "jane"},
        {"kind": "User", "name": "jim"},
        {"kind": "Group", "name": "dev"},
        {"kind": "Group", "name": "ops"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "ns"},
    ]
)
RULES = st.builds(
    rule,
    verbs=st.sampled_from(["get", "list", "*", "get list"]),
    resources=st.sampled_from(["pods", "*", "pods/log services", "*/log"]),
    names=st.sampled_from([None, None, "a", "a b"]),
)


def naive(bindings: Any, roles: Any, attributes: Any) -> str:
    for name, (role, subjects) in sorted(bindings.items()):
        for subject in subjects:
            mine = {
                "User": subject["name"] == attributes.user.name,
                "Group": subject["name"] in attributes.user.groups,
                "ServiceAccount": attributes.user.name == f"system:serviceaccount:ns:{subject['name']}",
            }[subject["kind"]]
            for r in roles[role] if mine else ():
                if rule_applies(attributes, r) and attributes.name in r.get(
                    "resourceNames", [attributes.name]
                ):
                    return f"{name} {subject['name']}"
    return ""


@settings(max_examples=30 * SCALE)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.lists(SUBJECTS, max_size=3)), max_size=6),
    st.lists(st.lists(RULES, max_size=2), min_size=4, max_size=4),
    st.builds(
        ask,
        resource=st.sampled_from(["pods", "pods/log"]),
        user=st.sampled_from(["jane", "system:serviceaccount:ns:s", "x"]),
        groups=st.lists(st.sampled_from(["dev", "ops"]), max_size=2),
        name=st.sampled_from(["", "a", "b"]),
    ),
)
def test_the_index_agrees_with_a_walk_over_everything(
    new_readers: Any, writes: Any, role_rules: Any, attributes: Any
) -> None:
    readers = new_readers()
    rbac = RBACAuthorizer(readers)
    roles = dict(zip("abcd", role_rules, strict=True))
    for name, rules in roles.items():
        readers.role(name, *rules)
    bindings = {}
    for name, subjects in writes:
        readers.bind(name, name, *subjects)
        bindings[name] = (name, subjects)
    expected = naive(bindings, roles, attributes)
    assert at_once(rbac.authorize(attributes)).allowed is bool(expected)
    if expected:
        assert f'Binding "{expected.split()[0]}"' in at_once(rbac.authorize(attributes)).reason


GRANTEES = [JANE, {"kind": "Group", "name": "dev"}, {"kind": "ServiceAccount", "name": "jane"}]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", ""]),
            st.sampled_from(["x", "y"]),
            st.lists(st.sampled_from(GRANTEES), max_size=3) | st.none(),
        ),
        max_size=12,
    )
)
def test_the_namespaces_with_a_binding_to_a_user(new_readers: Any, steps: Any) -> None:
    """However bindings come and go; None deletes one."""
    readers = new_readers()
    rbac = RBACAuthorizer(readers)
    held: dict[tuple[str, str], Any] = {}
    told: list[int] = []
    rbac.listeners.append(lambda: told.append(len(told)))
    for namespace, name, subjects in steps:
        if subjects is not None:
            readers.bind(name, "r", *subjects, namespace=namespace)
            held[namespace, name] = subjects
        elif held.pop((namespace, name), None) is not None:
            kind = "rolebindings" if namespace else "clusterrolebindings"
            readers.delete(f"{kind}.rbac.authorization.k8s.io", namespace, name)
        for user, wanted in (
            (User("jane"), [GRANTEES[0]]),
            (User("jim", groups=("dev",)), [GRANTEES[1]]),
            (User("jane", groups=("dev",)), GRANTEES[:2]),
            (User("nobody"), []),
        ):
            places = {ns for (ns, _), them in held.items() if ns and any(one in wanted for one in them)}
            assert rbac.namespaces_for(user) == places
        account = {ns for (ns, _), them in held.items() if ns == "a" and GRANTEES[2] in them}
        assert rbac.namespaces_for(User("system:serviceaccount:a:jane")) == account
    if not held:
        assert not rbac._index._places
    assert len(told) >= len(held)
