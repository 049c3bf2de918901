"""Pilothouse: a Kubernetes API server in Python with a compiled hot path."""

__version__ = "0.1.0"

GIT_VERSION = f"v1.36.0+pilothouse.{__version__}"
"""The version as /version and --version tell it: the Kubernetes release that is followed, and this server's own."""
