"""Build of the compiled hot path; everything else about the package stands in pyproject.toml.

PILOTHOUSE_DEBUG=1 builds with bounds checks, assertions and line tracing.
PILOTHOUSE_ONLY=_http1,_json builds just these modules (for work on one of them).
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("PILOTHOUSE_DEBUG") == "1"
ONLY = [name for name in os.environ.get("PILOTHOUSE_ONLY", "").split(",") if name]

MODULES = (
    "_http1",
    "_requestinfo",
    "_selectors",
    "_gzip",
    "_json",
    "_listbody",
    "_schema",
    "_fieldset",
    "_watchcache",
)

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "linetrace": DEBUG,
    "embedsignature": True,
}

extensions = [
    Extension(
        f"pilothouse.{name}",
        [f"ext/pilothouse/{name}.pyx"],
        extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2"],
        define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
    )
    for name in MODULES
    if (name in ONLY if ONLY else os.path.exists(f"ext/pilothouse/{name}.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions, include_path=["ext"], build_dir="build/cython", compiler_directives=DIRECTIVES
    )
)
