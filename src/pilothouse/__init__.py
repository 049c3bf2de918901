"""Pilothouse: a Kubernetes API server in Python with a compiled hot path."""
