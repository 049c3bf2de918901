import gc
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest
import yaml

from pilothouse import cli
from pilothouse.commands.names import COMMANDS, GROUPS
from pilothouse.configuration.config import Config
from pilothouse.endpoints.documents.nonresource import version_info
from pilothouse.process.version import GIT_VERSION


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.kube_apiserver(["--version"]) == cli.main(["serve", "--version"]) == cli.main(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(lines) == {cli.version()} and lines[0] == f"Kubernetes {version_info()['gitVersion']}"
    assert cli.kube_apiserver(["--help"]) == 0
    assert "Generic flags:" in capsys.readouterr().out
    assert cli.main([]) == cli.main(["--help"]) == 0
    assert "pilothouse serve" in capsys.readouterr().out


def test_a_start_collects_no_garbage() -> None:
    before, seen = gc.get_threshold(), []

    def run(config: Config, command: Sequence[str]) -> int:
        seen.append(gc.get_threshold()[0])
        return 0

    assert cli.main(["serve", "--data-dir=/nowhere"], run) == 0
    assert seen == [cli.STARTING]
    assert cli.main(["serve", "--no-such-flag"], run) == cli.USAGE_ERROR
    assert gc.get_threshold() == before


def test_a_version_to_report() -> None:
    """--version=v1.36.0-x serves, and /version tells that one."""
    served = Served()
    assert cli.kube_apiserver(["--version=v1.36.0-custom", "--data-dir=/nowhere"], served) == 0
    assert served.configs[0].api.reported_version == "v1.36.0-custom"
    assert cli.kube_apiserver(["--version=false", "--data-dir=/nowhere"], served) == 0
    assert served.configs[1].api.reported_version == GIT_VERSION


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("v1.37.0", f'version "v1.37.0" must match major/minor/patch of default version "{GIT_VERSION}"'),
        ("v1.36", 'illegal version string "v1.36"'),
        ("v1.36.00", 'illegal version string "v1.36.00"'),
        ("1.36.0", 'strconv.ParseBool: parsing "1.36.0": invalid syntax'),
    ],
)
def test_versions_that_cannot_be_reported(
    text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.kube_apiserver([f"--version={text}"]) == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f'Error: invalid argument "{text}" for "--version" flag: {problem}'


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(
    command: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Help touches nothing: `kubeconfig` makes keys when it is run."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cli.main([command, "--help"]) == cli.main([command, "-h"]) == 0
    out = capsys.readouterr().out
    assert f"pilothouse {command} " in out and "flags:" in out
    assert list(tmp_path.iterdir()) == []


def test_errors_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.kube_apiserver(["--nope"]) == 1
    assert capsys.readouterr().err.startswith("Error: unknown flag: --nope\n")
    assert cli.main(["serve", "--secure-port=0", "--goaway-chance=1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert cli.main(["serve", "--enable-logs-handler", "x"]) == 2
    assert capsys.readouterr().err.startswith(
        'Error: "pilothouse serve" does not take any arguments, got ["x"]\n'
    )
    assert cli.main(["dance"]) == 2
    assert capsys.readouterr().err.startswith('Error: unknown command "dance" for "pilothouse"\n')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("srve", ["serve"]),
        ("completoin", ["completion"]),
        ("dance", []),
        ("snap", ["snapshot"]),
        ("serve --data-dri=x", ["--data-dir"]),
        ("serve --etcd_server=x", ["--etcd-servers", "--etcd-servers-overrides"]),
        ("serve --nope", []),
        ("token lst", ["list"]),
        ("token lst --data-dir=/nowhere", ["list"]),
        ("token list --kubeconfg=x", ["--kubeconfig"]),
        ("snapshot savee x", ["save"]),
        ("store stast", ["stat"]),
        ("etcd stats --etcd-servers=http://127.0.0.1:1", ["status"]),
        ("kubeconfig --usr=a", ["--user"]),
        ("blam", ["blame"]),
        ("restore --selectr=a", ["--selector"]),
        ("cluster creat a", ["create"]),
        ("cluster create a --objcts=1", ["--objects"]),
        ("cluster kubeconfig a --merg", ["--merge"]),
        ("envtest --kep -- true", ["--keep"]),
        ("history --usr=a", ["--user"]),
        ("history purge cm/a --feild=x", ["--field"]),
        ("bench --kubecnfig=a", ["--kubeconfig"]),
        ("console --prot=1", ["--port"]),
        ("top --onec", ["--once"]),
        ("completion bsh", ["bash"]),
    ],
)
def test_what_may_have_been_meant(words: str, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The words are those of cobra; the most similar names come first."""
    assert cli.main(words.split()) == 2
    error, *lines = capsys.readouterr().err.splitlines()
    assert error.startswith("Error: unknown ") and re.fullmatch(
        "Run 'pilothouse.* --help' for usage.", lines[-1]
    )
    if not said:
        assert len(lines) == 1
        return
    assert lines[:2] == ["", "Did you mean this?"] and lines[-2] == ""
    assert [line.strip() for line in lines[2:-2]][: len(said)] == said


def test_kube_apiserver_tells_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.kube_apiserver(["--secure-prot=1"]) == 1
    assert capsys.readouterr().err == (
        "Error: unknown flag: --secure-prot\n\nDid you mean this?\n\t--secure-port\n\n"
        "Run 'kube-apiserver --help' for usage.\n"
    )


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_prints_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([group]) == 0
    said = capsys.readouterr()
    assert cli.main([group, "--help"]) == 0
    assert said == capsys.readouterr() and f"pilothouse {group} " in said.out and said.err == ""


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["token"], ["token", "list"], ["serve"], ["version"]):
        assert cli.main([words[0], "--help"]) == 0
        said = capsys.readouterr().out
        assert cli.main(["help", *words]) == 0
        assert capsys.readouterr().out == said
    assert cli.main(["help", "tokn"]) == 2
    assert "Did you mean this?\n\ttoken\n" in capsys.readouterr().err


def test_exit_statuses(tmp_path: pathlib.Path) -> None:
    """0, 1 for what was found or has failed, 2 for the command line; kube-apiserver has no 2, as upstream."""
    wrong = f"--data-dir={tmp_path}/none"
    assert cli.main(["check-config", wrong]) == 0
    assert cli.main(["store", "stat", wrong]) == cli.main(["check-config", wrong, "--secure-port=0"]) == 1
    assert cli.main(["serve", "--secure-port=0"]) == cli.kube_apiserver(["--nope"]) == 1
    assert cli.main(["serve", "--nope"]) == cli.main(["store", "dance"]) == cli.main(["doctor", "x"]) == 2


def test_who_reads_no_further_is_not_told(tmp_path: pathlib.Path) -> None:
    """`| head`: neither an error nor a traceback, though the output is longer than its buffer."""
    for words in ("serve --help", "check-config --help", "help"):
        command = [sys.executable, "-m", "pilothouse", *words.split()]
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
        os.close(write)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, ""), words


class Served:
    """Stands for a server: notes how it was to be run."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.configs: list[Config] = []
        self.commands: list[Sequence[str]] = []

    def __call__(self, config: Config, command: Sequence[str]) -> int:
        self.configs.append(config)
        self.commands.append(command)
        return self.status


def test_serve_runs_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    served = Served(7)
    assert (
        cli.kube_apiserver(["--secure-port=1234", "--data-dir=/nowhere", "--kubelet-timeout=1s"], served) == 7
    )
    assert served.configs[0].serving.secure_port == 1234
    assert '"Flags without effect were given" flags="kubelet-timeout"' in capsys.readouterr().err
    assert cli.main(["serve"], served) == 7


@pytest.mark.parametrize("flags", [[], ["--etcd-servers="], ["--cert-dir=/nowhere", "--secure-port=1"]])
def test_kube_apiserver_does_not_choose_a_store_by_itself(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A control plane that lost --etcd-servers must not serve an empty cluster."""
    served = Served()
    assert cli.kube_apiserver(flags, served) == 1 and served.configs == []
    assert capsys.readouterr().err.startswith("Error: --etcd-servers must be specified; ")
    assert cli.main(["serve", *flags], served) == 0 and served.configs[0].store.backend == "sqlite"


@pytest.mark.parametrize(
    "flag", ["--data-dir=/nowhere", "--storage-backend=sqlite", "--storage-backend=memory"]
)
def test_kube_apiserver_has_a_store_of_its_own_where_a_flag_asks_for_it(flag: str) -> None:
    served = Served()
    assert cli.kube_apiserver([flag], served) == 0
    assert served.configs[0].store.backend == ("memory" if "memory" in flag else "sqlite")


def test_workers_are_given_the_command_line_and_its_defaults() -> None:
    served = Served()
    flags = ["--workers=2", "--etcd-servers=http://127.0.0.1:1"]
    assert cli.kube_apiserver(flags, served) == cli.main(["serve", *flags], served) == 0
    assert [list(command[-5:]) for command in served.commands] == [
        ["serve", *flags, f"--enable-bootstrap-token-auth={on}", f"--console={on}"]
        for on in ("false", "true")
    ]


def test_an_interrupt_before_the_server_takes_it_over_is_no_traceback() -> None:
    def interrupted(config: Config, command: Sequence[str]) -> int:
        raise KeyboardInterrupt

    assert cli.main(["serve"], interrupted) == 130


def test_a_plugin_that_there_is_not_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.kube_apiserver(
            ["--storage-backend=memory", "--enable-admission-plugins=NodeRestriction,Nonsense"]
        )
        == 1
    )
    assert capsys.readouterr().err == 'Error: enable-admission-plugins plugin "Nonsense" is unknown\n'


def test_kubeconfig(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig", "--create", f"--data-dir={tmp_path}", "--secure-port=7443"]) == 0
    config = yaml.safe_load(capfd.readouterr().out)
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    target = tmp_path / "admin.conf"
    assert cli.main(["kubeconfig", f"--data-dir={tmp_path}", f"--write-kubeconfig={target}"]) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    (tmp_path / "file").touch()
    assert cli.main(["kubeconfig", f"--data-dir={tmp_path}/file/x"]) == 1


def test_nothing_heavy_is_imported_for_a_version() -> None:
    code = (
        "import sys; from pilothouse import cli; cli.main(['version']); cli.main(['serve', '--version']);"
        "print([m for m in ('cryptography', 'yaml', 'asyncio', 'uvloop', 'ssl') if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime < 1


def test_a_command_that_needs_another_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    for name in [name for name in sys.modules if name.startswith(("rich.", "pilothouse.commands.top"))]:
        monkeypatch.delitem(sys.modules, name)
    assert cli.main(["top"]) == 1
    assert (
        capsys.readouterr().err
        == "Error: pilothouse top needs another package: pip install 'pilothouse[cli]'\n"
    )
    for form in ("json", "yaml"):  # no terminal's tables: the next thing that is missing is a server
        assert cli.main(["top", "-o", form, "--kubeconfig", "/nonexistent"]) == 1
        assert "/nonexistent" in capsys.readouterr().err
    assert cli.main(["top", "--help"]) == 0
    assert "pilothouse top [flags]" in capsys.readouterr().out
    assert cli.main(["completion", "bash"]) == 0
    assert "--interval" in capsys.readouterr().out
