"""The version as /version and --version tell it."""

from pilothouse import __version__

GIT_VERSION = f"v1.36.0+pilothouse.{__version__}"
"""The Kubernetes release that is followed, and this server's own version."""
