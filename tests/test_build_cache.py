"""Compiled modules are kept between builds of the same sources."""

import os
import pathlib
import subprocess
import sys

import build_cache
import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    source = tmp_path / "ext" / "pilothouse" / "_one.pyx"
    source.parent.mkdir(parents=True)
    source.write_text("cdef int one = 1\n")
    (tmp_path / "setup.py").write_text("setup()\n")
    return tmp_path


def test_the_digest_is_that_of_sources_compilers_and_flags(
    tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_cache.digest(tree, ("-O2",))
    assert build_cache.digest(tree, ("-O2",)) == first
    found = {first, build_cache.digest(tree, ("-O1",))}
    monkeypatch.setenv("CFLAGS", "-g")
    found.add(build_cache.digest(tree, ("-O2",)))
    monkeypatch.delenv("CFLAGS")
    (tree / "ext" / "pilothouse" / "_one.pxi").write_text("cdef int two = 2\n")
    found.add(build_cache.digest(tree, ("-O2",)))
    assert len(found) == 4


def test_nothing_is_kept_unless_a_folder_is_named(
    tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build_cache.VARIABLE, "")
    assert build_cache.folder(tree, ()) is None
    monkeypatch.setenv(build_cache.VARIABLE, str(tree / "cache"))
    kept = build_cache.folder(tree, ())
    assert kept is not None and kept.parent == tree / "cache"


def test_the_digests_that_were_used_last_are_kept(tmp_path: pathlib.Path) -> None:
    module = tmp_path / "module.so"
    module.write_bytes(b"compiled")
    for at in range(build_cache.MOST + 2):
        build_cache.keep(module, tmp_path / "cache" / str(at) / "module.so")
        os.utime(tmp_path / "cache" / str(at), (at, at))
        if at == build_cache.MOST - 1:
            build_cache.use(tmp_path / "cache" / "0" / "module.so", tmp_path / "again.so")
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    last = build_cache.MOST + 1
    assert len(kept) == build_cache.MOST and {"0", str(last)} <= kept
    assert (tmp_path / "again.so").read_bytes() == b"compiled"


@pytest.mark.slow
def test_a_module_is_compiled_once(tmp_path: pathlib.Path) -> None:
    outside = {**os.environ, "PILOTHOUSE_ONLY": "_uuid", build_cache.VARIABLE: str(tmp_path / "cache")}

    def build(name: str) -> bytes:
        folder = tmp_path / name
        command = ["build_ext", f"--build-lib={folder}", f"--build-temp={folder}"]
        subprocess.run([sys.executable, "setup.py", "--quiet", *command], cwd=ROOT, env=outside, check=True)
        (module,) = (folder / "pilothouse").rglob("_uuid*.so")
        return module.read_bytes()

    compiled = build("first")
    (kept,) = (tmp_path / "cache").rglob("*.so")
    assert kept.read_bytes() == compiled
    kept.write_bytes(b"kept")
    assert build("second") == b"kept"
