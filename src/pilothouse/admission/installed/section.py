"""A plugin's section of the AdmissionConfiguration, checked against the schema that the plugin gives."""

from collections.abc import Mapping
from typing import Any

from pilothouse.api.changes.patch import copy
from pilothouse.api.configfile import ConfigurationError, refuse
from pilothouse.api.structural import schema as structural
from pilothouse.api.structural.rules import validate_lists
from pilothouse.api.structural.validate import Validator, validate
from pilothouse.api.validate.crd.schema import Options, validate_schema, walk
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote

RULES = "x-kubernetes-validations"


def configured(declared: Mapping[str, Any] | None, section: Object | None) -> Object:
    """The section with the defaults of the schema;
    ConfigurationError when the two do not fit, or the schema is none.

    The section may have apiVersion, kind and metadata, as every configuration of a plugin may.
    """
    if declared is None:
        if section:
            raise ConfigurationError("it takes no configuration")
        return {}
    schema = _checked(declared)
    out: Object = copy(section or {})
    compiled = structural.compile(schema)
    if unknown := structural.prune(out, compiled):
        listed = ", ".join(f"unknown field {quote(path.removeprefix('.'))}" for path in unknown)
        raise ConfigurationError(f"strict decoding error: {listed}")
    structural.drop_nulls(out, compiled)
    structural.default(out, compiled)
    errs = Errors()
    validate(Validator(schema), out, errs)
    if not errs:
        validate_lists(out, compiled, errs)
    refuse(errs)
    return out


def _checked(declared: Mapping[str, Any]) -> Object:
    """The schema, if it is one that a CustomResourceDefinition could have as well."""
    try:
        schema: Object = copy(declared)
    except TypeError as err:
        raise ConfigurationError(f"configuration_schema: {err}") from None
    errs = Errors()
    if any(RULES in one for one in walk(schema)):
        errs.forbidden(f"configuration_schema.{RULES}", "rules are for custom resources only")
    else:
        validate_schema({"openAPIV3Schema": schema}, False, "configuration_schema", Options(), errs)
    for cause in errs.causes:
        cause["field"] = cause["field"].replace(".openAPIV3Schema", "", 1)
    refuse(errs)
    return schema
