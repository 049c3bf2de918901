"""The limits of one expression."""

PER_CALL = 1_000_000
"""Units that one evaluation may cost (apiserver pkg/apis/cel)."""
MAX_EXPRESSION = 100_000
"""Characters of an expression."""
MAX_DEPTH = 250
"""Levels that an expression may be nested."""
MAX_RESULT = 32 << 20
"""Characters of a text that a function may make: upstream has no such limit, but its memory has."""
