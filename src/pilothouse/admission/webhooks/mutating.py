"""MutatingAdmissionWebhook: webhooks that patch an object, one after another (apiserver webhook/mutating)."""

from collections.abc import Awaitable

from pilothouse import errors
from pilothouse.admission.annotations import annotate, annotate_request
from pilothouse.admission.expressions import Scope
from pilothouse.admission.metrics import ADMIT
from pilothouse.admission.objects import completed, type_of
from pilothouse.admission.reinvocation import Reinvocations
from pilothouse.admission.webhooks.calling import Caller, Failed, WebhookDependencies
from pilothouse.admission.webhooks.plugin import WebhookPlugin
from pilothouse.admission.webhooks.review import JSON_PATCH, AdmissionResponse
from pilothouse.admission.webhooks.source import MUTATING, AdmissionWebhook
from pilothouse.api import json
from pilothouse.api.changes import patch
from pilothouse.api.changes._fieldset import FieldError, decode
from pilothouse.api.values import equality
from pilothouse.api.values.fields import Object, show
from pilothouse.gotext import quote
from pilothouse.offload import INLINE
from pilothouse.registry.admission import AdmissionAttributes, Reinvocation
from pilothouse.registry.timeline import PATHS

NAME = "MutatingAdmissionWebhook"
MUTATION, PATCH = "mutation.webhook.admission.k8s.io/", "patch.webhook.admission.k8s.io/"
"""Beginnings of audit annotations: whether a webhook has changed the object, and by which patch."""


class MutatingAdmissionWebhook(WebhookPlugin):
    """Has the webhooks that are about a request change its object,
    in the order of their configurations' names."""

    name = NAME
    resource = MUTATING
    phase = ADMIT

    def __init__(self, parts: WebhookDependencies) -> None:
        super().__init__(Caller(parts, ADMIT, mutating=True))

    def mutate(self, a: AdmissionAttributes) -> Awaitable[None]:
        return self._change(a)

    async def _change(self, a: AdmissionAttributes) -> None:
        if a.reinvocation is None:
            a.reinvocation = Reinvocation()
        chain = a.reinvocation
        state: Reinvocations[str] = chain.state.setdefault(NAME, Reinvocations())
        await state.begin(a)
        owned = _managed_fields(a.obj)
        views = self._caller.views(a)
        for hook in self._followed(a.readers).about(a.operation, a.resource, a.subresource):
            matched = await self._caller.select(views, hook)
            if matched is None or (chain.again and hook.uid not in state.due):
                continue
            scope = await views.scope(matched)
            before = scope.obj
            changed = await self._invoke(a, hook, scope)
            if scope.obj is not before:
                await views.keep(scope)
            if changed:
                state.changed()
                chain.needed = True
            if hook.reinvocable:
                state.ran.add(hook.uid)
        await state.end(a)
        if _managed_fields(a.obj) != owned:
            await a.work.run(_keep_valid, a, owned)

    async def _invoke(self, a: AdmissionAttributes, hook: AdmissionWebhook, scope: Scope) -> bool:
        """Call a webhook; whether it has changed the object of the scope. StatusError."""
        place = f"round_{int(a.reinvocation is not None and a.reinvocation.again)}_index_{hook.index}"
        changed: bool | None = False
        try:
            call = self._patched(a, hook, scope, place)
            changed = await self._caller.settle(a, hook, call, f"failed-open.{MUTATION}{place}")
        finally:
            told = {"configuration": hook.configuration, "webhook": hook.name, "mutated": bool(changed)}
            annotate(a, f"{MUTATION}{place}", show(told))
        return bool(changed)

    async def _patched(
        self, a: AdmissionAttributes, hook: AdmissionWebhook, scope: Scope, place: str
    ) -> bool:
        """Have the webhook patch the object of the scope, which is replaced; whether it differs.
        Failed, Denied, StatusError.
        """
        response = await self._caller.call(a, hook, scope)
        if not response.patch:
            return False
        try:
            operations = await a.work.run(patch.decode_operations, response.patch)
            paths = [str((one or {}).get("path", "")) for one in operations[:PATHS]]
        except ValueError as err:
            why = f"received undecodable patch in webhook response: {err}"
            raise Failed(hook, why, 503) from None
        if not operations:
            return False
        if scope.obj is None:
            raise errors.internal(
                f"admission webhook {quote(hook.name)} attempted to modify the object, which is not supported"
                " for this operation"
            )
        if response.patch_type != JSON_PATCH:
            raise Failed(hook, f"unsupported patch type {quote(response.patch_type)}", 400)
        if any((one or {}).get("op") == "copy" for one in operations):
            await a.work.enter(INLINE + 1)  # a small patch may make a large object
        made = await a.work.run(_made, scope, operations)
        changed = not await a.work.run(equality.same, scope.obj, made)
        annotate_request(a, f"{PATCH}{place}", await a.work.run(_told, hook, response))
        scope.obj = made
        if changed:
            for path in paths:
                a.changed(path)
        return changed


def _made(scope: Scope, operations: list[Object]) -> Object:
    """The object of a scope after a patch, decoded and with its defaults;
    InternalError in upstream's words."""
    obj, (resource, kind) = scope.obj, scope.matched
    assert obj is not None
    try:
        raw = patch.apply_operations(obj, operations)
    except patch.TestFailed as err:
        raise errors.internal(f"{err}: test failed") from None
    except patch.Inapplicable as err:
        raise errors.internal(str(err)) from None
    if not isinstance(raw, dict):
        raise errors.internal(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {patch.go_kind(raw)} into"
            " Go value of type struct { APIVersion string; Kind string }"
        )
    if (raw.get("apiVersion"), raw.get("kind")) != (obj.get("apiVersion"), obj.get("kind")):
        raise errors.internal(
            f"no kind {quote(str(raw.get('kind') or ''))} is registered for version "
            f'{quote(str(raw.get("apiVersion") or ""))} in scheme "pkg/api/legacyscheme/scheme.go:30"'
        )
    try:
        type = type_of(resource, kind)
    except errors.ServiceUnavailable:  # the options of a CONNECT have no schema
        return raw
    return completed(resource, kind, raw, type, strict=False)


def _told(hook: AdmissionWebhook, response: AdmissionResponse) -> str:
    """The audit annotation of a patch."""
    told = json.dump({"configuration": hook.configuration, "webhook": hook.name}).decode()
    return f'{told[:-1]},"patch":{response.patch.decode(errors="replace")},"patchType":"{JSON_PATCH}"}}'


def _managed_fields(obj: Object | None) -> list[Object] | None:
    return ((obj or {}).get("metadata") or {}).get("managedFields")


def _keep_valid(a: AdmissionAttributes, before: list[Object] | None) -> None:
    """Bring back the managed fields if plugins have left ones that cannot be read
    (fieldmanager/admission.go)."""
    assert a.obj is not None
    try:
        decode(_managed_fields(a.obj))
    except FieldError as err:
        a.warnings.append(
            ".metadata.managedFields was in an invalid state after admission; this could be caused by an"
            f" outdated mutating admission controller; please fix your requests: {err}"
        )
        if before is None:
            del a.obj["metadata"]["managedFields"]
        else:
            a.obj["metadata"]["managedFields"] = before
