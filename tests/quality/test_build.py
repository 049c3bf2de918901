"""Building the package."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_a_missing_compiler_is_told_in_one_sentence(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "setup.py",
            "--quiet",
            "build_ext",
            f"--build-lib={tmp_path}",
            f"--build-temp={tmp_path}",
        ],
        cwd=ROOT,
        env={**os.environ, "CC": "no-such-compiler", "PILOTHOUSE_ONLY": "_head"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Pilothouse is built with a C compiler, and there is no no-such-compiler: install one"
    )
