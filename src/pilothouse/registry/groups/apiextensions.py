"""apiextensions.k8s.io/v1: custom resource definitions."""

from pilothouse.api import names
from pilothouse.api.fields import Object
from pilothouse.api.validate import apiextensions as rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    STATUS_APART,
    on_create,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy, WriteContext

GROUP = "apiextensions.k8s.io"


def _store_version(obj: Object) -> None:
    """The version that is stored from now on belongs to those that have been stored."""
    storage = next((v.get("name", "") for v in spec_of(obj).get("versions") or () if v.get("storage")), None)
    status = obj.setdefault("status", {})
    stored = status.get("storedVersions") or []
    if storage is not None and storage not in stored:
        status["storedVersions"] = [*stored, storage]


def _prepare(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {}
    _store_version(obj)


def _prepare_update(ctx: WriteContext, obj: Object, old: Object) -> None:
    if isinstance(obj.get("status"), dict):
        obj["status"] = dict(obj["status"])
    _store_version(obj)


DEFINITION = Strategy(
    name_check=names.dns_subdomain,
    unconditional_update=False,
    prepare_create=_prepare,
    prepare_update=_prepare_update,
    validate=on_create(rules.validate_definition),
    validate_update=lambda ctx, obj, old, errs: rules.validate_definition(obj, errs, old),
    **COUNTS_SPEC,
    **STATUS_APART,
)

RESOURCES = [
    resource(
        GROUP,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "jfWCUB31mvA=",
        DEFINITION,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        key_prefix="/registry/apiextensions.k8s.io/customresourcedefinitions/",
        status=status_strategy(DEFINITION, rules.validate_definition_status),
    ),
]
