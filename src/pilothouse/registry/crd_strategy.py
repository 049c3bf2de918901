"""The strategy of custom resources:
rules for their writes (apiextensions-apiserver pkg/registry/customresource)."""

import functools
import threading
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pilothouse import errors, gotext
from pilothouse.api.changes.patch import copy
from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.codec import whole_numbers
from pilothouse.api.structural.rules import validate_embedded, validate_lists
from pilothouse.api.structural.schema import Schema, has_rules
from pilothouse.api.structural.validate import Correlation, Validator, same, validate
from pilothouse.api.types.schema import Type
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.registry.object_metrics import ObjectMetrics
from pilothouse.registry.strategy import Strategy, WriteContext

if TYPE_CHECKING:
    from pilothouse.api.expressions.object_rules import ObjectRules

log = Logger(__name__)

STANDARD_FINALIZERS = {"orphan", "foregroundDeletion", "kubernetes"}
INT32_MAX = 2**31 - 1
BLOCKING = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}
UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to"
    " complete validation"
)
_TERMINATING = "create not allowed while custom resource definition is terminating"


class CompiledSchema:
    """A declared schema in the forms that requests need."""

    def __init__(self, declared: Object, observe: Callable[[float], None]) -> None:
        self.root = Validator(declared)
        self.schema = structural.compile(declared)
        self.status = self.root.properties.get("status")
        self.rules = _rules(declared, self.schema, observe)

    @functools.cached_property
    def type(self) -> Type:
        """The type of the objects."""
        return structural.type_of(self.schema)


def _rules(declared: Object, schema: Schema, observe: Callable[[float], None]) -> "ObjectRules | None":
    if not has_rules(declared):
        return None
    from pilothouse.api.expressions.object_rules import ObjectRules  # and with it the language

    return ObjectRules(declared, schema, observe)


CompiledSchemas = WeakValueDictionary[bytes, CompiledSchema]
"""Compiled schemas by their digests, which the definitions of several clusters share."""


class Checked:
    """Schema and validators of one version, made on first use and shared by all its objects.

    digest: of the schema as it was declared; about: what an error calls it. What cannot be compiled stays an
    error for those who ask for it, and is not tried again. `shared` has what others have compiled.
    """

    __slots__ = (
        "_compiled",
        "_fault",
        "_load",
        "_lock",
        "_shared",
        "about",
        "digest",
        "metrics",
        "root",
        "rules",
        "schema",
        "status",
    )

    def __init__(
        self,
        load: Callable[[], Object],
        digest: bytes = b"",
        about: str = "",
        metrics: ObjectMetrics | None = None,
        shared: CompiledSchemas | None = None,
    ) -> None:
        self.metrics = metrics or ObjectMetrics()
        self._load = load
        self._shared = shared
        self._compiled: CompiledSchema | None = None
        self._lock = threading.Lock()
        self._fault = ""
        self.digest, self.about = digest, about
        self.schema: Schema | None = None
        self.root: Validator
        self.status: Validator | None = None
        self.rules: ObjectRules | None = None

    def declared(self) -> Object:
        """The openAPIV3Schema, read again."""
        return self._load()

    def compiled(self) -> Schema:
        """The structural schema; InternalError when it cannot be compiled."""
        if self.schema is None:
            with self._lock:
                if self.schema is None:
                    self._compile()
        assert self.schema is not None
        return self.schema

    def type(self) -> Type:
        """The type of the objects; InternalError when the schema cannot be compiled."""
        self.compiled()
        assert self._compiled is not None
        return self._compiled.type

    def _compile(self) -> None:
        if not self._fault:
            try:
                made = self._compiled = self._made()
                self.root, self.status, self.rules = made.root, made.status, made.rules
                self.schema = made.schema  # the last, for others look at it without the lock
                return
            except errors.StatusError:  # the request is at its end, not the schema
                raise
            except Exception as err:
                log.exception("A schema cannot be compiled", definition=self.about)
                self._fault = f"{type(err).__name__}: {err}"
        raise errors.InternalError(f"the schema of {self.about} cannot be compiled: {self._fault}")

    def _made(self) -> CompiledSchema:
        shared = self._shared if self.digest else None
        made = shared.get(self.digest) if shared is not None else None
        if made is None:
            made = CompiledSchema(self._load(), self.metrics.compilation.observe)
            if shared is not None:
                shared[self.digest] = made
        return made


class Instances:
    """The hooks of one version; they see objects in it, the live ones too."""

    def __init__(
        self,
        group: str,
        version: str,
        kind: str,
        checked: Checked,
        subresources: Object,
        terminating: Callable[[], bool],
    ) -> None:
        self.group, self.kind = group, kind
        self.api_version = f"{group}/{version}"
        self.checked = checked
        self.has_status = "status" in subresources
        self.scale: Object | None = subresources.get("scale")
        self._terminating = terminating

    def strategy(self) -> Strategy:
        """The rules of the objects themselves."""
        return Strategy(
            finalizer_checks=frozenset(),
            unconditional_update=False,
            generation_on_create=1,
            apply_reset=(("status",),) if self.has_status else (),
            prepare_create=self._prepare_create,
            prepare_update=self._prepare_update,
            validate=self._validate,
            validate_update=self._validate_update,
            warnings=_warnings,
        )

    def status_strategy(self) -> Strategy:
        """The rules of the `status` subresource."""
        return Strategy(
            finalizer_checks=frozenset(),
            unconditional_update=False,
            apply_reset=(("metadata",), ("spec",)),
            prepare_update=self._prepare_status,
            validate_update=self._validate_status,
        )

    # Preparing.

    def _prepare_create(self, ctx: WriteContext, obj: Object) -> None:
        if self._terminating():
            raise errors.forbidden(
                self.group, ctx.resource.plural, obj["metadata"].get("name", ""), _TERMINATING
            )
        if self.has_status:
            obj.pop("status", None)

    def _prepare_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        if self.has_status:
            if "status" in old:
                obj["status"] = copy(old["status"])
            else:
                obj.pop("status", None)
        new = {name: value for name, value in obj.items() if name != "metadata"}
        before = {name: value for name, value in old.items() if name != "metadata"}
        if not same(new, before):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _prepare_status(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        """Keep everything but the status and the tracked fields as it was."""
        live = copy(old)
        sent, metadata = dict(obj), obj["metadata"]
        tracked = metadata.get("managedFields")
        obj.clear()
        obj.update(live)
        metadata.clear()
        metadata.update(live["metadata"])
        obj["metadata"] = metadata
        metadata.pop("managedFields", None)
        if tracked:
            metadata["managedFields"] = tracked
        obj.pop("status", None)
        if "status" in sent:
            obj["status"] = sent["status"]

    # Validating.

    def _validate(self, ctx: WriteContext, obj: Object, errs: Errors) -> None:
        schema = self.checked.compiled()
        self._check_kind(obj)
        validate(self.checked.root, obj, errs)
        self._validate_scale(obj, errs, status_only=False)
        validate_embedded(obj, schema, errs)
        validate_lists(obj, schema, errs)
        self._validate_rules(ctx, obj, None, errs, None)
        self._finish(obj, errs)

    def _validate_update(self, ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
        schema = self.checked.compiled()
        self._check_kind(obj)
        correlation = Correlation(obj, old, schema)
        validate(self.checked.root, obj, errs, "", correlation)
        self._validate_scale(obj, errs, status_only=False)
        validate_embedded(obj, schema, errs)
        self._validate_changed_lists(obj, old, schema, errs)
        self._validate_rules(ctx, obj, old, errs, correlation)
        ctx.services.metrics.ratcheting.observe(correlation.clock.seconds)
        self._finish(obj, errs)

    def _validate_status(self, ctx: WriteContext, obj: Object, old: Object, errs: Errors) -> None:
        schema = self.checked.compiled()
        correlation = Correlation(obj, old, schema)
        if "status" in obj and self.checked.status is not None:
            validate(self.checked.status, obj["status"], errs, "status", correlation.key("status"))
        self._validate_scale(obj, errs, status_only=True)
        self._validate_changed_lists(obj, old, schema, errs)
        self._validate_rules(ctx, obj, old, errs, correlation)
        ctx.services.metrics.ratcheting.observe(correlation.clock.seconds)
        self._finish(obj, errs)

    def _check_kind(self, obj: Object) -> None:
        """A body may claim to be something else; nothing more is said of it then."""
        errs = Errors()
        for name, wanted in (("kind", self.kind), ("apiVersion", self.api_version)):
            if obj.get(name, "") != wanted:
                errs.invalid(name, obj.get(name, ""), f"must be {wanted}")
        group = obj.get("apiVersion", "").rpartition("/")[0]
        errs.raise_if_any(group, obj.get("kind", ""), obj["metadata"].get("name", ""))

    def _validate_changed_lists(self, obj: Object, live: Object, schema: Schema, errs: Errors) -> None:
        """Validate lists; an update need not fix lists that were wrong already."""
        before = Errors()
        validate_lists(live, schema, before)
        if not before:
            validate_lists(obj, schema, errs)

    def _validate_rules(
        self,
        ctx: WriteContext,
        obj: Object,
        live: Object | None,
        errs: Errors,
        correlation: Correlation | None,
    ) -> None:
        """CEL rules are looked at once the object has the form that they rely on."""
        rules = self.checked.rules
        if rules is None:
            return
        if any(cause["reason"] in BLOCKING for cause in errs.causes):
            errs.invalid("<nil>", None, UNCHECKED)
        else:
            began = perf_counter()
            rules.validate(obj, live, errs, ctx.warnings, correlation)
            ctx.services.metrics.evaluation.observe(perf_counter() - began)

    def _validate_scale(self, obj: Object, errs: Errors, *, status_only: bool) -> None:
        scale = self.scale
        if scale is None:
            return
        paths = ["statusReplicasPath"] if status_only else ["specReplicasPath", "statusReplicasPath"]
        for name in paths:
            path = scale.get(name, "")
            try:
                value = nested(obj, path, int) or 0
            except ValueError as err:
                errs.invalid(path, 0, str(err))
                continue
            if value < 0:
                errs.invalid(path, value, "should be a non-negative integer")
            elif value > INT32_MAX:
                errs.invalid(path, value, f"should be less than or equal to {INT32_MAX}")
        path = scale.get("labelSelectorPath")
        if path:
            try:
                nested(obj, path, str)
            except ValueError as err:
                errs.invalid(path, "", str(err))

    def _finish(self, obj: Object, errs: Errors) -> None:
        """Give the numbers of a valid object the form in which they are stored."""
        if not errs:
            whole_numbers(obj)


def split(path: str) -> list[str]:
    """The steps of a simple path, `.spec.replicas`."""
    return path.removeprefix(".").split(".")


def nested(obj: Object, path: str, wanted: Any) -> Any:
    """The member at a simple path, None when it is absent;
    ValueError as Go's unstructured.Nested* words it."""
    steps = split(path)
    value: Any = obj
    for i, step in enumerate(steps):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ValueError(
                f".{'.'.join(steps[: i + 1])} accessor error: {gotext.value(value)} is of the type"
                f" {gotext.type_name(value)}, expected map[string]interface{{}}"
            )
        if step not in value:
            return None
        value = value[step]
    if type(value) is wanted:
        return value
    expected = gotext.TYPES[wanted]
    raise ValueError(
        f".{'.'.join(steps)} accessor error: {gotext.value(value)} is of the type {gotext.type_name(value)},"
        f" expected {expected}"
    )


def _warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """Finalizers that others might use too, as far as an update brings them in."""
    added = set(obj["metadata"].get("finalizers") or ())
    if old is not None:
        added -= set(old["metadata"].get("finalizers") or ())
    out: list[str] = []
    for name in sorted(added):
        about = f"metadata.finalizers: {quote(name)}: "
        out += [about + wrong for wrong in names.qualified_name(name)]
        if "/" not in name and name not in STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in name else ""
            out.append(
                f"{about}prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with"
                " other finalizer writers"
            )
    return out
