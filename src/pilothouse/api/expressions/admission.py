"""Environments of admission: what the expressions of policies and of webhooks' match conditions see.

(apiserver pkg/admission/plugin/cel compile.go and composition.go)
"""

from collections.abc import Mapping
from functools import cache

from pilothouse.api.cel import (
    AUTHORIZER,
    BOOL,
    DYN,
    INT,
    JSON_PATCH,
    RESOURCE_CHECK,
    STRING,
    TIMESTAMP,
    CelType,
    Environment,
    StructField,
    list_of,
    map_of,
    object_type,
    struct,
)
from pilothouse.api.expressions.mutations import mutation_structs

VARIABLES = "variables"
AUTHORIZER_NAME = "authorizer"
REQUEST_RESOURCE = "authorizer.requestResource"
_PLAIN = frozenset(
    ("any", "bool", "bytes", "double", "duration", "int", "null", "string", "timestamp", "uint", "dyn")
)


_TEXTS = list_of(STRING)
_KIND = object_type("GroupVersionKind", group=STRING, version=STRING, kind=STRING)
_RESOURCE = object_type("GroupVersionResource", group=STRING, version=STRING, resource=STRING)
_USER = object_type(
    "UserInfo", username=STRING, uid=STRING, groups=_TEXTS, extra=map_of(STRING, list_of(STRING))
)
REQUEST = object_type(
    "AdmissionRequest",
    kind=_KIND,
    resource=_RESOURCE,
    subResource=STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=STRING,
    name=STRING,
    namespace=STRING,
    operation=STRING,
    userInfo=_USER,
    dryRun=BOOL,
    options=DYN,
)
"""A review's request, without its uid and its objects."""
_CONDITION = object_type(
    "NamespaceCondition",
    status=STRING,
    type=STRING,
    lastTransitionTime=TIMESTAMP,
    message=STRING,
    reason=STRING,
)
_NAMESPACE_METADATA = object_type(
    "NamespaceMetadata",
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    labels=map_of(STRING, STRING),
    annotations=map_of(STRING, STRING),
    UID=STRING,
    creationTimestamp=TIMESTAMP,
    deletionGracePeriodSeconds=INT,
    deletionTimestamp=TIMESTAMP,
    generation=INT,
    resourceVersion=STRING,
    finalizers=_TEXTS,
)
NAMESPACE = object_type(
    "Namespace",
    metadata=_NAMESPACE_METADATA,
    spec=object_type("NamespaceSpec", finalizers=_TEXTS),
    status=object_type("NamespaceStatus", conditions=list_of(_CONDITION), phase=STRING),
)


class Composition:
    """The variables of a policy, as later expressions of it see them: fields of `variables`."""

    __slots__ = ("_fields", "type")

    def __init__(self) -> None:
        self._fields: dict[str, StructField] = {}
        self.type = struct(f"kubernetes.{VARIABLES}", self._fields)

    def add(self, name: str, found: CelType | None) -> None:
        """Declare a variable by what its expression gives, None when it was refused."""
        self._fields[name] = StructField(_known(found) if found is not None else DYN, name)


def _known(found: CelType) -> CelType:
    """The type that declarations use for a type: types of libraries become dyn."""
    if found.kind in ("list", "map"):
        return CelType(found.kind, params=tuple(_known(one) for one in found.params))
    return found if found.kind in _PLAIN else DYN


def environment(
    *, params: bool, authorizer: bool = True, patches: bool = False, composition: Composition | None = None
) -> Environment:
    """The environment of an expression.

    params: the policy has parameters. authorizer: the expression may ask for permissions. patches: it makes
    objects of a mutation. composition: the policy's variables, None when it has none or they are not seen.
    """
    if composition is None:
        return _plain(params, authorizer, patches)
    return _build(params, authorizer, patches, {VARIABLES: composition.type})


@cache
def _plain(params: bool, authorizer: bool, patches: bool) -> Environment:
    return _build(params, authorizer, patches, {})


def _build(params: bool, authorizer: bool, patches: bool, more: Mapping[str, CelType]) -> Environment:
    variables = {**_variables(DYN, DYN if params else None), **more}
    if authorizer:
        variables |= {AUTHORIZER_NAME: AUTHORIZER, REQUEST_RESOURCE: RESOURCE_CHECK}
    if patches:
        return Environment(variables, structs=mutation_structs, extra=[JSON_PATCH])
    return Environment(variables)


def typed_environment(object: CelType, params: CelType | None, composition: Composition) -> Environment:
    """The environment in which the types of a policy are checked:
    `object` and `params` have those of their schemas."""
    more = {AUTHORIZER_NAME: AUTHORIZER, VARIABLES: composition.type}
    return Environment(_variables(object, params) | more)


def _variables(object: CelType, params: CelType | None) -> dict[str, CelType]:
    variables = {"object": object, "oldObject": object, "namespaceObject": NAMESPACE, "request": REQUEST}
    return variables if params is None else {**variables, "params": params}
