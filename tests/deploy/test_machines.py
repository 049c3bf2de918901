"""Whether packages can be tried on a host: who asks for it is told what is missing."""

import pathlib
import subprocess
import sys

import pytest

from deploy import machines


def test_each_program_that_is_missing_is_named() -> None:
    said = machines.wanting(lambda name: None if name in ("podman", "nft") else name, 0)
    assert said.startswith("podman, nft not installed; apt-get install ")


@pytest.mark.parametrize(("user", "why"), [(0, ""), (1000, "only root makes other roots")])
def test_only_root_can(user: int, why: str) -> None:
    assert machines.wanting(str, user) == why


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [({"PILOTHOUSE_PACKAGES": "/"}, 1, "mmdebstrap, "), ({}, 0, "on request")],
    ids=["asked", "not asked"],
)
def test_who_asks_is_not_told_that_all_is_well(
    tmp_path: pathlib.Path, asked: dict[str, str], status: int, said: str
) -> None:
    """Where the programs are not there, tests of packages fail; without the request they are skipped."""
    test = f"{pathlib.Path(machines.__file__).parent}/test_debian.py::test_what_debian_packages_have"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=pathlib.Path(__file__).parents[2],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert said in done.stdout
