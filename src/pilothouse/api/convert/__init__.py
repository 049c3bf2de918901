"""Converts built-in kinds between versions."""
