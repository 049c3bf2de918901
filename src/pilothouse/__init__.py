"""Pilothouse: a Kubernetes API server in Python with a compiled hot path."""

__version__ = "0.1.0"
