"""Kinds of metrics, and the formats in which they are shown."""
