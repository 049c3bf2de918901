"""The build backend: that of setuptools, which asks for no more packages than a build needs (PEP 517).

A build that finds all its modules kept (tools/build_cache.py) compiles nothing and needs no Cython. One that
writes no descriptions of the built-in types needs no kubernetes-validate.
"""

from typing import Any

import build_cache
import build_modules
import gen_descriptions
from setuptools.build_meta import *  # noqa: F403 -- all hooks but those below

CYTHON = "cython>=3.1"


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:  # type: ignore[no-redef]
    """The packages for a source distribution, beyond those of pyproject.toml."""
    kept = build_cache.folder(build_modules.ROOT, (build_modules.MODE, *build_modules.FLAGS))
    return [] if build_cache.complete(kept, build_modules.sources()) else [CYTHON]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:  # type: ignore[no-redef]
    """The packages for a wheel, beyond those of pyproject.toml."""
    needed = get_requires_for_build_sdist(config_settings)
    return [*needed, gen_descriptions.PACKAGE] if build_modules.DESCRIBED else needed


get_requires_for_build_editable = get_requires_for_build_wheel
