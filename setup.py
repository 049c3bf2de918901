"""Build of the compiled hot path; everything else about the package stands in pyproject.toml.

PILOTHOUSE_DEBUG=1 builds with checks of bounds, overflow and None, with assertions and without much
optimization. PILOTHOUSE_SANITIZE=1 builds for AddressSanitizer and UndefinedBehaviorSanitizer (`make
test-asan`, `make fuzz-decoders`), from the same C as a build for use. PILOTHOUSE_TRACE=1 builds modules
whose lines coverage can count (`make coverage`).
PILOTHOUSE_ONLY=_http1,_json builds just these modules (for work on one of them).
PILOTHOUSE_BUILD_CACHE names a folder in which compiled modules are kept (tools/build_cache.py).
A build also lays the descriptions of the built-in types beside the package (tools/gen_descriptions.py),
unless PILOTHOUSE_DESCRIPTIONS=0. tools/build_backend.py says which packages a build needs.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
sys.path.append(str(HERE / "tools"))

import build_cache  # noqa: E402
import gen_descriptions  # noqa: E402
from build_modules import DEBUG, DESCRIBED, FLAGS, MODE, TRACE, sources  # noqa: E402

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "overflowcheck": DEBUG,
    "wraparound": False,  # when bounds are checked, an index below zero of bytes is an error then
    "embedsignature": True,
    "embedsignature.format": "clinic",  # what inspect.signature() reads
    "binding": False,  # methods as those of C types, which are cheaper to make and to call
    "auto_pickle": False,  # nothing is pickled, and what pickles takes as long to compile as all else
    "linetrace": TRACE,
}
"""Of all modules: a `# cython:` line at the head of a file would win over them and switch
checks off again."""

TRACE_MACROS: list[tuple[str, str | None]] = [
    ("CYTHON_TRACE", "1"),
    ("CYTHON_TRACE_NOGIL", "1"),
    ("CYTHON_USE_SYS_MONITORING", "0"),
]
"""Lines are told to the old trace function (PEP 669's monitoring takes no plugin,
and coverage needs Cython's)."""

extensions = [
    Extension(
        name,
        [source],
        extra_compile_args=FLAGS,
        define_macros=TRACE_MACROS if TRACE else [],
        extra_link_args=[flag for flag in FLAGS if flag.startswith("-fsanitize")],
    )
    for name, source in sources().items()
]

KEPT = build_cache.folder(HERE, (MODE, *FLAGS))
"""Where compiled modules are kept, None where none are."""

COMPLETE = build_cache.complete(KEPT, sources())
"""Whether all that would be compiled is kept."""


class BuildDescriptions(Command):
    """Lays the descriptions of the built-in types beside the package: into src/ or a wheel.

    A build without the package that ships them makes a server whose OpenAPI documents have no descriptions.
    """

    description = "write the descriptions of the built-in types"
    user_options: ClassVar = [("build-lib=", "b", "folder that gets the package")]
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.files: list[Path] = []

    def finalize_options(self) -> None:
        """Called as a part of a build, it writes where that build gathers the package."""
        if not self.editable_mode and "build" in self.distribution.command_obj:
            self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        folder = Path(self.build_lib) if self.build_lib and not self.editable_mode else HERE / "src"
        try:
            self.files = gen_descriptions.write(folder / "pilothouse" / "api" / "descriptions")
        except (ImportError, OSError) as error:
            self.warn(f"kubectl explain will have no descriptions: {error}")

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return [str(path) for path in self.files]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build_ext):
    """Compiles on all processors, and says in one sentence what is missing where there is no C compiler.

    Modules that were compiled before are taken from where they are kept.
    """

    def finalize_options(self) -> None:
        """Set what the command line leaves open."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        """Build the extensions; ends the process when nothing can compile them."""
        wanted = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        if os.name == "posix" and shutil.which(wanted) is None:
            sys.exit(
                f"Pilothouse is built with a C compiler, and there is no {wanted}: install one (Debian and "
                "Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc "
                "musl-dev), or name it in CC."
            )
        super().run()

    def build_extension(self, ext: Extension) -> None:
        """Compile a module, or take the one that is kept."""
        module, path = Path(self.get_ext_fullpath(ext.name)), build_cache.module(KEPT, ext.name)
        if COMPLETE and path is not None:
            build_cache.use(path, module)
            return
        super().build_extension(ext)
        if path is not None:
            build_cache.keep(module, path)


if DESCRIBED:
    build.sub_commands.append(("build_descriptions", None))

compiled: list[Any] = extensions
if not COMPLETE:
    from Cython.Build import cythonize

    compiled = cythonize(
        extensions,
        include_path=["ext"],
        build_dir=os.path.join("build", "cython", MODE),
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    )
    # The longest C comes first, so that no processor waits at the end while another compiles it.
    compiled.sort(key=lambda extension: -os.path.getsize(extension.sources[0]))

setup(cmdclass={"build_descriptions": BuildDescriptions, "build_ext": Build}, ext_modules=compiled)
