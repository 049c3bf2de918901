"""The version as /version and --version tell it."""

import os

from pilothouse.process.patterns import pattern

BUILT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "version.txt")
UNKNOWN = "0.0"


def built_version(file: str | os.PathLike[str] = BUILT) -> str:
    """Read the version that the build has taken from git and laid beside the package (docs/versions.md)."""
    try:
        with open(file, encoding="ascii") as built:
            return built.read().strip()
    except FileNotFoundError:  # a tree of which nothing was built
        return UNKNOWN


def git_version(own: str) -> str:
    """Join the Kubernetes release that is followed and a version of ours.
    Semantic versions have one plus at most."""
    return f"v1.36.0+pilothouse.{own.replace('+', '.')}"


VERSION = built_version()
GIT_VERSION = git_version(VERSION)

_SEMANTIC = pattern(r"v((?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


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
