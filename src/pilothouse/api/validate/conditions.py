"""Validates lists of meta/v1 Condition (apimachinery meta/v1 validation ValidateConditions)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names

rules = Rules(__name__, reason=d.Matches(names.condition_reason))
validate_conditions = rules.table("[]apimachinery.pkg.apis.meta.v1.Condition")(f"""
    []                                  unique-first:.type
      type                              qualified-name
      status                            False|True|Unknown
      observedGeneration                >=0 : must be greater than or equal to zero
      lastTransitionTime!
      reason!                           reason max:1024
      message                           max:{32 * 1024}
""")
