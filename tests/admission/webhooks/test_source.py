"""The webhooks that there are, and their order."""

from typing import Any

from harness import Rig
from webhooks import RULE

from pilothouse.admission.metrics import ADMIT, AdmissionMetrics
from pilothouse.admission.webhooks.source import MUTATING, WebhookSource

PATH = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def webhook(name: str, **members: Any) -> Any:
    return {
        "name": f"{name}.example.com",
        "clientConfig": {"url": "https://h/p"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v2", "v1beta1", "v1"],
        **members,
    }


async def configure(rig: Rig, name: str, *webhooks: Any) -> Any:
    return await rig.ok("POST", PATH, {"metadata": {"name": name}, "webhooks": list(webhooks)})


def source_of(rig: Rig) -> WebhookSource:
    return WebhookSource(rig.readers, MUTATING, AdmissionMetrics(), ADMIT)


async def test_by_the_name_of_the_configuration_and_as_it_lists_them(rig: Rig) -> None:
    await configure(rig, "b", webhook("two"), webhook("one"))
    await configure(rig, "a", webhook("none", rules=[]), webhook("three"))
    found = source_of(rig).hooks
    assert [hook.uid for hook in found] == [
        "a/three.example.com/0",
        "b/two.example.com/0",
        "b/one.example.com/0",
    ]
    assert [hook.index for hook in found] == [1, 2, 3], "the place among all, without rules or not"


async def test_what_a_configuration_says(rig: Rig) -> None:
    await configure(
        rig,
        "a",
        webhook("x"),
        webhook("y", failurePolicy="Ignore", timeoutSeconds=3, reinvocationPolicy="IfNeeded"),
    )
    x, y = source_of(rig).hooks
    assert (x.ignore, x.seconds, x.reinvocable, x.dry_run, x.version) == (False, 10, False, True, "v1beta1")
    assert (y.ignore, y.seconds, y.reinvocable) == (True, 3, True)
    assert x.breaker is None and y.breaker is not None and x.conditions is None
    assert x.criteria.equivalent, "matchPolicy is Equivalent by default"


async def test_webhooks_are_made_anew_only_when_their_configuration_changes(rig: Rig) -> None:
    conditions = [{"name": "c", "expression": "true"}]
    await configure(rig, "a", webhook("x", matchConditions=conditions))
    changing = await configure(rig, "b", webhook("y", matchConditions=conditions))
    source = source_of(rig)
    x, y = source.hooks
    compiled = x.conditions
    changing["webhooks"][0]["timeoutSeconds"] = 7
    await rig.ok("PUT", f"{PATH}/b", changing)
    again, new = source.hooks
    assert again is x and x.conditions is compiled and new is not y and new.seconds == 7


async def test_what_a_request_may_match_is_found_by_its_kind(rig: Rig) -> None:
    every = {**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await configure(rig, "a", webhook("every", rules=[every]), webhook("maps"))
    source = source_of(rig)
    for group, plural, wanted in (
        ("", "configmaps", 2),
        ("", "pods", 1),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", 0),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies", 0),
        ("authorization.k8s.io", "subjectaccessreviews", 0),
    ):
        resource = rig.catalog.get(group, "v1", plural)
        assert resource is not None
        assert len(source.about("CREATE", resource, "")) == wanted, plural


async def test_a_renewal_passes_where_no_webhook_is_about_it(rig: Rig) -> None:
    leases = rig.catalog.get("coordination.k8s.io", "v1", "leases")
    assert leases is not None
    every = {**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await configure(rig, "a", webhook("maps"), webhook("new", rules=[{**every, "operations": ["CREATE"]}]))
    source = source_of(rig)
    assert source.passes_renewal(leases) is None
    await configure(rig, "b", webhook("updates", rules=[{**every, "operations": ["UPDATE"]}]))
    assert source.passes_renewal(leases) is False
