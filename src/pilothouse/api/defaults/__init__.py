"""Defaults of built-in kinds that a schema cannot express."""
