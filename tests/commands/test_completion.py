"""`pilothouse completion`: what shells are told, and what bash makes of it."""

import shutil
import subprocess

import pytest

from pilothouse import cli
from pilothouse.commands.names import COMMANDS
from pilothouse.configuration.config import all_flags


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["pilothouse", "ser"], ["serve"]),
        (["pilothouse", "sto"], ["store"]),
        (["pilothouse", "snapshot", "re"], ["restore"]),
        (["pilothouse", "token", "d"], ["delete"]),
        (["pilothouse", "etcd", "d"], ["defragment", "disarm"]),
        (["pilothouse", "why", "--la"], ["--last"]),
        (["pilothouse", "history", "p"], ["purge"]),
        (["pilothouse", "restore", "--res"], ["--resources="]),
        (["pilothouse", "undo", "--dry"], ["--dry-run"]),
        (["pilothouse", "serve", "--secure-p"], ["--secure-port="]),
        (["pilothouse", "check-config", "--audit-policy"], ["--audit-policy-file="]),
        (["pilothouse", "serve", "--audit-policy-file", "=", "/etc/host"], ["/etc/hostname", "/etc/hosts"]),
        (["kube-apiserver", "--secure-p"], ["--secure-port="]),
        (["pilothouse", "completion", "z"], ["zsh"]),
        (["pilothouse", "version", "--x"], []),
    ],
)
def test_bash_completes(words: list[str], wanted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    function = "_kube_apiserver" if words[0] == "kube-apiserver" else "_pilothouse_command"
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"""{script("bash", capsys)}
complete -p pilothouse kube-apiserver > /dev/null || exit 1
COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
{function}
for one in "${{COMPREPLY[@]}}"; do echo "$one"; done
"""
    done = subprocess.run(["bash", "-u"], input=program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.split()
    assert set(wanted) <= set(found) if "/etc/hosts" in wanted else sorted(found) == wanted


def test_all_shells_know_all_commands_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    flags = {flag.name for flag in all_flags() if not flag.deprecated}
    for shell in ("bash", "zsh"):
        text = script(shell, capsys)
        assert all(f"\n        {command}) known=" in text for command in ("serve", *COMMANDS))
        assert [name for name in flags if f"--{name}" not in text] == []
    lines = script("fish", capsys).splitlines()
    seen = "complete -c pilothouse -n '__fish_seen_subcommand_from serve' -l "
    assert flags == {line.removeprefix(seen).split()[0] for line in lines if line.startswith(seen)}


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "tcsh"]) == cli.main(["completion", "zsh", "x"]) == 2
    assert "takes the name of a shell: bash, zsh, fish" in capsys.readouterr().err
