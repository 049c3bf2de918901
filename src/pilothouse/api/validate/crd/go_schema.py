"""Schemas as Go prints them, and what may stand at the root of one beside a status subresource."""

from pilothouse.api.validate.crd.rules import go_rule
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.turns import sorted_members

_MEMBERS = (
    "id=ID $schema=Schema $ref=Ref description type nullable format title default maximum exclusiveMaximum "
    "minimum exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems multipleOf enum "
    "maxProperties minProperties required items allOf oneOf anyOf not properties additionalProperties "
    "patternProperties dependencies additionalItems definitions externalDocs example "
    "x-kubernetes-preserve-unknown-fields=XPreserveUnknownFields "
    "x-kubernetes-embedded-resource=XEmbeddedResource x-kubernetes-int-or-string=XIntOrString "
    "x-kubernetes-list-map-keys=XListMapKeys x-kubernetes-list-type=XListType x-kubernetes-map-type=XMapType "
    "x-kubernetes-validations=XValidations"
)
_GO_NAMES = {
    name: go or name[0].upper() + name[1:] for name, _, go in (one.partition("=") for one in _MEMBERS.split())
}

# In the order of the Go struct.
_AT_ROOT = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength",
    "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties",
    "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_POINTERS = {
    "Ref", "AdditionalProperties", "AdditionalItems", "XPreserveUnknownFields", "XListType", "XMapType",
}  # fmt: skip
"""Members that may be false or empty and are there all the same."""
_ZERO_TEXT = {"ID", "Schema", "Description", "Type", "Format", "Title", "Pattern"}
_ZERO_FALSE = {
    "Nullable", "ExclusiveMaximum", "ExclusiveMinimum", "UniqueItems", "XEmbeddedResource", "XIntOrString",
}  # fmt: skip


def validate_root_of_status(declared: Object, path: str, errs: Errors) -> None:
    """Only some members may be set at the root of a schema with a status subresource."""
    for name, go in _GO_NAMES.items():
        value = declared.get(name)
        empty = value is False or value == ""
        if value is None or (empty and go not in _POINTERS):
            continue
        if go == "Type":
            if value != "object":
                why = (
                    'only "object" is allowed as the type at the root of the schema if the status subresource'
                    " is enabled"
                )
                errs.invalid(f"{path}.type", value, why)
                return
        elif go not in _AT_ROOT:
            listed = " ".join(_AT_ROOT)
            why = (
                f"only [{listed}] fields are allowed at the root of the schema if the status subresource is"
                " enabled"
            )
            errs.invalid(path, go_schema(declared), why)
            return


def go_schema(declared: Object | None) -> Object:
    """A schema as Go prints its internal struct. A null among others is an empty one."""
    out: Object = {}
    declared = declared or {}
    for name, go in _GO_NAMES.items():
        value = declared.get(name)
        if value is None:
            value = "" if go in _ZERO_TEXT else False if go in _ZERO_FALSE else None
        elif go in ("AllOf", "OneOf", "AnyOf"):
            value = [go_schema(one) for one in value]
        elif go == "Not":
            value = go_schema(value)
        elif go == "Items":
            several = isinstance(value, list)
            value = {
                "Schema": None if several else go_schema(value),
                "JSONSchemas": [go_schema(one) for one in value] if several else None,
            }
        elif go in ("AdditionalProperties", "AdditionalItems"):
            nested = isinstance(value, dict)
            value = {"Allows": True if nested else value, "Schema": go_schema(value) if nested else None}
        elif go in ("Properties", "PatternProperties", "Definitions"):
            value = {key: go_schema(member) for key, member in sorted_members(value).items()}
        elif go == "Dependencies":
            value = {key: _go_dependency(one) for key, one in sorted_members(value).items()}
        elif go == "ExternalDocs":
            value = {"Description": value.get("description") or "", "URL": value.get("url") or ""}
        elif go == "XValidations":
            value = [go_rule(rule or {}) for rule in value]
        out[go] = value
    return out


def _go_dependency(declared: Object | list[str] | None) -> Object:
    """None stands for a value that is neither a schema nor a list: Go's decoder ignores it."""
    if isinstance(declared, list):
        return {"Schema": None, "Property": declared}
    return {"Schema": None if declared is None else go_schema(declared), "Property": None}
