"""The kinds that are registered and served."""

import pytest

from pilothouse.api.types import scheme


def test_group_versions() -> None:
    assert scheme.group_version("", "v1") == "v1"
    assert scheme.group_version("apps", "v1") == "apps/v1"
    assert scheme.parse_group_version("apps/v1") == ("apps", "v1")
    assert scheme.parse_group_version("v1") == ("", "v1")
    with pytest.raises(ValueError, match="unexpected GroupVersion string: a/b/c"):
        scheme.parse_group_version("a/b/c")


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (("", "v1", "Pod"), True),
        (("", "v1", "Status"), True),
        (("", "v1", "List"), True),
        (("apps", "v1beta1", "Deployment"), True),  # known, though no longer served
        (("apps", "v1", "DeleteOptions"), True),
        (("apps", "v1", "Status"), True),
        (("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), False),
        (("", "v1", "pod"), False),
        (("", "v2", "Pod"), False),
    ],
)
def test_registered(kind: scheme.GroupVersionKind, known: bool) -> None:
    assert scheme.is_registered("apps", *kind) is known


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (("apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition"), True),
        (("apiextensions.k8s.io", "v1", "DeleteOptions"), True),
        (("", "v1", "DeleteOptions"), True),
        (("", "v1", "Status"), True),
        (("", "v1", "List"), False),
        (("", "v1", "Secret"), False),
        (("apiregistration.k8s.io", "v1", "APIService"), False),
    ],
)
def test_definitions_have_a_scheme_of_their_own(kind: scheme.GroupVersionKind, known: bool) -> None:
    assert scheme.is_registered("apiextensions.k8s.io", *kind) is known


def test_not_registered_message() -> None:
    assert scheme.not_registered("", "", "v1", "pod") == (
        'no kind "pod" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"'
    )


def test_internal_types() -> None:
    assert scheme.same_internal_type(("", "v1", "Event"), ("events.k8s.io", "v1", "Event"))
    assert scheme.same_internal_type(("extensions", "v1beta1", "Deployment"), ("apps", "v1", "Deployment"))
    assert not scheme.same_internal_type(("", "v1", "Service"), ("", "v1", "Pod"))
    assert scheme.unknown_conversion(
        ("apps", "v1", "Deployment"), ("rbac.authorization.k8s.io", "v1", "Role")
    ) == ("converting (v1.Deployment) to (rbac.Role): unknown conversion")


def test_served_resources() -> None:
    pods = next(r for r in scheme.served() if r.resource == "pods" and not r.subresource)
    assert pods.kind == "Pod" and pods.namespaced and "po" in pods.short_names
    assert scheme.definition_name("", "v1", "Pod") == "io.k8s.api.core.v1.Pod"
