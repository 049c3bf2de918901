"""Environments of admission: what the expressions of policies and of webhooks' match conditions see.

(apiserver pkg/admission/plugin/cel compile.go and composition.go, pkg/cel/mutation)
"""

from collections.abc import Mapping
from functools import cache

from pilothouse.api.cel.environment import JSON_PATCH, Environment, no_structs
from pilothouse.api.cel.libraries.authorizer import AUTHORIZER, RESOURCE_CHECK
from pilothouse.api.cel.types import (
    BOOL,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Field,
    Type,
    list_of,
    map_of,
    struct,
)

VARIABLES = "variables"
AUTHORIZER_NAME = "authorizer"
REQUEST_RESOURCE = "authorizer.requestResource"
_PACKAGE = "kubernetes."
_PLAIN = frozenset(
    ("any", "bool", "bytes", "double", "duration", "int", "null", "string", "timestamp", "uint", "dyn")
)


def _struct(name: str, /, **fields: Type) -> Type:
    return struct(_PACKAGE + name, {key: Field(type, key) for key, type in fields.items()})


_TEXTS = list_of(STRING)
_KIND = _struct("GroupVersionKind", group=STRING, version=STRING, kind=STRING)
_RESOURCE = _struct("GroupVersionResource", group=STRING, version=STRING, resource=STRING)
_USER = _struct("UserInfo", username=STRING, uid=STRING, groups=_TEXTS, extra=map_of(STRING, list_of(STRING)))
REQUEST = _struct(
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
_CONDITION = _struct(
    "NamespaceCondition",
    status=STRING,
    type=STRING,
    lastTransitionTime=TIMESTAMP,
    message=STRING,
    reason=STRING,
)
_NAMESPACE_METADATA = _struct(
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
NAMESPACE = _struct(
    "Namespace",
    metadata=_NAMESPACE_METADATA,
    spec=_struct("NamespaceSpec", finalizers=_TEXTS),
    status=_struct("NamespaceStatus", conditions=list_of(_CONDITION), phase=STRING),
)

# What mutations make

APPLY_CONFIGURATION = struct("Object", None)
JSON_PATCH_OPERATION = struct(
    "JSONPatch",
    {
        "op": Field(STRING, "op"),
        "path": Field(STRING, "path"),
        "from": Field(STRING, "from"),
        "value": Field(DYN, "value"),
    },
)


def mutation_structs(name: str) -> Type | None:
    """`Object`, `Object.spec` and so on have any fields;
    the field by which one is reached is not checked here."""
    if name == "Object":
        return APPLY_CONFIGURATION
    if name == "JSONPatch":
        return JSON_PATCH_OPERATION
    return struct(name, None) if name.startswith("Object.") else None


# Environments


class Composition:
    """The variables of a policy, as later expressions of it see them: fields of `variables`."""

    __slots__ = ("_fields", "type")

    def __init__(self) -> None:
        self._fields: dict[str, Field] = {}
        self.type = struct(_PACKAGE + VARIABLES, self._fields)

    def add(self, name: str, found: Type | None) -> None:
        """Declare a variable by what its expression gives, None when it was refused."""
        self._fields[name] = Field(_known(found) if found is not None else DYN, name)


def _known(found: Type) -> Type:
    """The type that declarations use for a type: types of libraries become dyn."""
    if found.kind in ("list", "map"):
        return Type(found.kind, params=tuple(_known(one) for one in found.params))
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
    return _build({**_variables(params, authorizer), VARIABLES: composition.type}, patches)


def typed_environment(object: Type, params: Type | None, composition: Composition) -> Environment:
    """The environment in which the types of a policy are checked:
    `object` and `params` have those of their schemas."""
    variables: dict[str, Type] = {
        "object": object,
        "oldObject": object,
        "namespaceObject": NAMESPACE,
        "request": REQUEST,
        AUTHORIZER_NAME: AUTHORIZER,
        VARIABLES: composition.type,
    }
    if params is not None:
        variables["params"] = params
    return Environment(variables)


@cache
def _plain(params: bool, authorizer: bool, patches: bool) -> Environment:
    return _build(_variables(params, authorizer), patches)


def _variables(params: bool, authorizer: bool) -> dict[str, Type]:
    variables = {"object": DYN, "oldObject": DYN, "namespaceObject": NAMESPACE, "request": REQUEST}
    if params:
        variables["params"] = DYN
    if authorizer:
        variables[AUTHORIZER_NAME] = AUTHORIZER
        variables[REQUEST_RESOURCE] = RESOURCE_CHECK
    return variables


def _build(variables: Mapping[str, Type], patches: bool) -> Environment:
    extra = (JSON_PATCH,) if patches else ()
    return Environment(variables, structs=mutation_structs if patches else no_structs, extra=extra)
