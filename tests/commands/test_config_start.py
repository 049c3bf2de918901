import subprocess
import sys
from pathlib import Path

import pytest

from pilothouse.commands import config_files, config_start
from pilothouse.commands.config_problem import Problem
from pilothouse.configuration import options


def found(tmp_path: Path, *flags: str) -> list[Problem]:
    config = options.parse([f"--data-dir={tmp_path}", *flags], "pilothouse serve", ours=True)
    assert list(config_start.problems(config)) == list(config_files.problems(config))
    return list(config_start.problems(config))


@pytest.mark.parametrize("flag", ["--audit-policy-file", "--token-auth-file", "--service-account-key-file"])
def test_a_file_that_a_flag_names_is_read(tmp_path: Path, flag: str) -> None:
    file = tmp_path / "file"
    file.write_text("{")
    assert [one.file for one in found(tmp_path, f"{flag}={file}")] == [str(file)]


def test_a_pair_for_a_name_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{")
    assert [one.flag for one in found(tmp_path, f"--tls-sni-cert-key={file},{file}:a")] == [
        "tls-sni-cert-key"
    ]


def test_what_the_server_keeps_is_read(tmp_path: Path) -> None:
    (tmp_path / "sa.key").write_text("no key")
    assert [one.file for one in found(tmp_path)] == [str(tmp_path / "sa.key")]


def test_without_files_no_reader_is_imported(tmp_path: Path) -> None:
    """In a process of its own, because the tests have imported them."""
    code = f"""
import subprocess
import sys
from pilothouse.commands import config_start
from pilothouse.configuration import options
config = options.parse(["--data-dir={tmp_path}"], "pilothouse serve", ours=True)
assert not list(config_start.problems(config))
assert not any(name.endswith("config_readers") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
