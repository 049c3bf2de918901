"""Admission policies for tests."""

from typing import Any

Object = dict[str, Any]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}


async def validating(
    rig: Any, *expressions: Any, binding: Object | None = None, name: str = "p", **spec: Any
) -> None:
    """A ValidatingAdmissionPolicy with these validations (or expressions), and a binding that denies."""
    validations = [{"expression": one} if isinstance(one, str) else one for one in expressions]
    await _create(
        rig,
        "validating",
        name,
        {"matchConstraints": {"resourceRules": [RULE]}, "validations": validations, **spec},
        {"policyName": name, "validationActions": ["Deny"], **(binding or {})},
    )


async def mutating(
    rig: Any, *mutations: str, binding: Object | None = None, name: str = "p", **spec: Any
) -> None:
    """A MutatingAdmissionPolicy; mutations that begin with a bracket are JSON patches."""
    listed = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": one}}
        if one.startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": one}}
        for one in mutations
    ]
    await _create(
        rig,
        "mutating",
        name,
        {
            "matchConstraints": {"resourceRules": [{**RULE, "operations": ["CREATE", "UPDATE"]}]},
            "reinvocationPolicy": "Never",
            "mutations": listed,
            **spec,
        },
        {"policyName": name, **(binding or {})},
    )


async def _create(rig: Any, kind: str, name: str, spec: Object, binding: Object) -> None:
    metadata = {"name": name}
    await rig.ok("POST", f"{ADMISSION}/{kind}admissionpolicies", {"metadata": metadata, "spec": spec})
    await rig.ok(
        "POST", f"{ADMISSION}/{kind}admissionpolicybindings", {"metadata": metadata, "spec": binding}
    )


def config_map(name: str = "one", labels: Object | None = None, **data: str) -> Object:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}
