"""The types of the built-in kinds, read from their schemas, and what depends on a type alone."""
