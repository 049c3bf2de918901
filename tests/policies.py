"""Admission policies for tests."""

import asyncio
from typing import Any

from harness import Rig

from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.policies.mutating import MutatingAdmissionPolicy
from pilothouse.admission.policies.validating import ValidatingAdmissionPolicy

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


class Judge:
    """An authorizer that allows the verb "get",
    waits for its answer if it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.waits = False

    async def authorize(self, attributes: Any) -> Any:
        self.asked.append(attributes)
        if self.waits:
            await asyncio.sleep(0)
        return Answer(attributes.verb == "get")


class Answer:
    reason = "because"

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed


def policed(judge: Judge, metrics: AdmissionMetrics | None = None) -> Rig:
    """A server that evaluates policies."""
    policies = MutatingAdmissionPolicy(judge, metrics), ValidatingAdmissionPolicy(judge, metrics)
    return Rig([NamespaceLifecycle(), *policies])
