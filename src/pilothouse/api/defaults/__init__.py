"""Defaults of the built-in kinds that no schema can say."""
