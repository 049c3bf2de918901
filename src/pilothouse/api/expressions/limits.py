"""The limits of the costs of expressions,
and the sizes that the estimates assume where a schema sets no bound.

Upstream: apiserver pkg/apis/cel, pkg/cel/limits.go, apiextensions validation.go.
"""

PER_OBJECT = 10_000_000
"""Units that all rules of one custom resource, or all expressions of one policy, may cost in a request."""
MATCH_CONDITIONS = 2_500_000
"""Units that all match conditions of one webhook or policy may cost in a request."""

RULE_ESTIMATE = 10_000_000
"""Units that one rule of a definition may cost by its estimate."""
DEFINITION_ESTIMATE = 100_000_000
"""Units that all rules of one version of a definition may cost by their estimates."""

MAX_MESSAGE_BYTES = 5 * 1024
"""Bytes of the text that a messageExpression may give."""
MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Bytes of a request, from which sizes without a limit are estimated."""

MAX_DURATION = 32
MAX_DATETIME = 32
MIN_DURATION = 3
DATE = 12
MIN_DATETIME = 21
MIN_STRING = 2
MIN_BOOL = 4
MIN_NUMBER = 1
