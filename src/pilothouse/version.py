"""The version as /version and --version tell it."""

import re

from pilothouse import __version__

GIT_VERSION = f"v1.36.0+pilothouse.{__version__}"
"""The Kubernetes release that is followed, and this server's own version."""

_SEMANTIC = re.compile(r"v((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


def dynamic_version(text: str) -> str:
    """Check a version that is to be told in place of GIT_VERSION (component-base's ValidateDynamicVersion).

    It is a semantic version of the release that is followed: only what comes behind the three numbers may
    differ. Raises ValueError.
    """
    match = _SEMANTIC.fullmatch(text)
    if match is None:
        raise ValueError(f'illegal version string "{text}"')
    if not GIT_VERSION.startswith(f"v{match[1]}+"):
        raise ValueError(f'version "{text}" must match major/minor/patch of default version "{GIT_VERSION}"')
    return text
