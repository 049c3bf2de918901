"""Compiled modules are kept between builds of the same sources."""

import json
import os
import pathlib
import subprocess
import sys

import build_cache
import build_modules
import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    source = tmp_path / "ext" / "pilothouse" / "_one.pyx"
    source.parent.mkdir(parents=True)
    source.write_text("cdef int one = 1\n")
    (tmp_path / "setup.py").write_text("setup()\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "build_modules.py").write_text("FLAGS = []\n")
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


def test_a_build_without_cython_takes_what_was_compiled_last(
    tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build_cache.VARIABLE, str(tree / "cache"))
    assert build_cache.folder(tree, (), cython="") is None
    for at, cython in enumerate(("3.3.1", "3.2.0")):
        kept = tree / "cache" / f"{build_cache.digest(tree, ())}-{cython}"
        kept.mkdir(parents=True)
        os.utime(kept, (at, at))
    (tree / "cache" / f"{build_cache.digest(tree, ('-O1',))}-3.3.1").mkdir()
    assert build_cache.folder(tree, (), cython="") == kept


def test_a_build_asks_for_what_it_needs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cython, when a module is not kept; the package of the descriptions, unless it writes none."""
    monkeypatch.setenv(build_cache.VARIABLE, str(tmp_path))
    assert needed() == ["cython>=3.1", "kubernetes-validate>=1.36"]
    assert needed("PILOTHOUSE_DESCRIPTIONS=0") == ["cython>=3.1"]
    kept = build_cache.folder(ROOT, (build_modules.MODE, *build_modules.FLAGS))
    places = [path for name in build_modules.sources() if (path := build_cache.module(kept, name))]
    for place in places:
        build_cache.keep(pathlib.Path(__file__), place)
    assert needed("PILOTHOUSE_DESCRIPTIONS=0") == []
    places[0].unlink()
    assert needed("PILOTHOUSE_DESCRIPTIONS=0") == ["cython>=3.1"]


def needed(*variables: str) -> list[str]:
    """The packages that the backend asks for. It runs in a process of its own: it reads variables once."""
    program = "import build_backend, json; print(json.dumps(build_backend.get_requires_for_build_wheel()))"
    outside = {**os.environ, "PYTHONPATH": "tools", **dict(one.split("=") for one in variables)}
    found: list[str] = json.loads(
        subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=outside, text=True)
    )
    return found


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
