"""The files that `serve` and `check-config` refuse: those that flags name, and those that a server keeps."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from example_scale import SCALE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilothouse import cli, pki
from pilothouse.assembly.server import Server
from pilothouse.commands import config_files
from pilothouse.configuration import options
from pilothouse.pki import CertificateAuthority

LOCAL = ["--storage-backend=memory", "--bind-address=127.0.0.1"]
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n"
PLUGIN = """
from pilothouse.admission.api import Plugin


class Strict(Plugin):
    resources = ("pods",)
    configuration_schema = {"type": "object", "properties": {"most": {"type": "integer"}}}

    closed = []

    def validate(self, request):
        pass

    async def close(self):
        self.closed.append(self.configuration)
"""


def told(*flags: str) -> list[str]:
    """The errors in flags, and in files; warnings begin with a word that says so."""
    config, said, _, _ = options.read_flags([*flags])
    return [*said, *(f"{'warning: ' if one.warning else ''}{one}" for one in config_files.problems(config))]


def serving(*flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A server that is to end at once."""
    command = [sys.executable, "-m", "pilothouse", "serve", *LOCAL, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a server that has run."""
    pki.prepare(options.parse([f"--data-dir={tmp_path}/data"]))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (["sa.key"], "/sa.key: it is no private key: "),
        (
            ["apiserver.crt", "apiserver.key"],
            "/apiserver.crt: it cannot be used with apiserver.key: there is no ",
        ),
        (["state.db"], "/state.db: it is no SQLite database: restore a snapshot"),
    ],
)
def test_files_of_the_data_directory(data: Path, broken: list[str], problem: str) -> None:
    assert told(f"--data-dir={data}") == []
    for name in broken:
        (data / name).write_text("garbage")
    [text] = told(f"--data-dir={data}")
    assert text.startswith(f"{data}{problem}") and text.endswith(" (--data-dir)")
    for name in broken:
        (data / name).unlink(missing_ok=True)
        (data / name).mkdir()
    assert (
        f"{data}/{broken[0]}: it is no file (--data-dir)" in told(f"--data-dir={data}") or "api" in broken[0]
    )


def test_directories_and_files_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    own = [f"--data-dir={tmp_path}/data", f"--audit-policy-file={policy}"]
    for flag in ("--data-dir", "--cert-dir"):
        [text] = told(*own, f"{flag}={file}/x")
        assert text.startswith(f"{flag}: data directory {file}/x can not be used: Not a directory;")
    for flag in ("--write-kubeconfig", "--audit-log-path"):
        [text] = told(*own, f"{flag}={file}/x")
        assert text.startswith(f"{file}/x: it cannot be written: ") and text.endswith(f" ({flag})")
        assert told(*own, f"{flag}={tmp_path}") == [f"{tmp_path}: it is a directory ({flag})"]
    assert told(*own, "--audit-log-path=/dev/null", f"--write-kubeconfig={tmp_path}/deep/file") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "policy.yaml"]


def test_a_certificate_that_clients_refuse_is_an_error_here_and_a_warning_for_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past = CertificateAuthority.create("past", days=-0.001)
    (tmp_path / "past.crt").write_bytes(pki.pem(past.certificate))
    (tmp_path / "past.key").write_bytes(pki.key_pem(past.key))
    pair = [f"--tls-cert-file={tmp_path}/past.crt", f"--tls-private-key-file={tmp_path}/past.key"]
    sni = f"--tls-sni-cert-key={tmp_path}/past.crt,{tmp_path}/past.key"
    flags = [f"--data-dir={tmp_path}/data", *pair, sni]
    first, second = told(*flags)
    assert first.startswith(f"warning: {tmp_path}/past.crt: the certificate has expired on ")
    assert first.endswith(" (--tls-cert-file)") and second.endswith(" (--tls-sni-cert-key)")
    assert cli.main(["check-config", *flags]) == 1
    assert f"{tmp_path}/past.crt: the certificate has expired" in capsys.readouterr().out


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a package that offers the admission plugin Strict."""
    site = tmp_path / "site"
    metadata = site / "strict_plugin-1.dist-info"
    metadata.mkdir(parents=True)
    (site / "strict_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strict-plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pilothouse.admission]\nStrict = strict_plugin:Strict\n")
    return site


@pytest.mark.slow
def test_an_unknown_field_of_a_python_plugin(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    file = tmp_path / "admission.yaml"
    text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: Strict\n"
    file.write_text(f"{text}  configuration:\n    mots: 5\n")
    named = f"--admission-control-config-file={file}"
    flags = [f"--data-dir={tmp_path}/data", "--enable-admission-plugins=Strict", named]
    [problem] = told(*flags)
    assert problem == (
        f'{file}: admission plugin "Strict" of the package strict-plugin 1: strict decoding error:'
        ' unknown field "mots" (--admission-control-config-file)'
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = serving(*flags, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (1, f"Error: {problem}\n")
    assert told(f"--data-dir={tmp_path}/data", named) == [], "the plugin is off: its section is not looked at"
    file.write_text(f"{text}  configuration:\n    most: 5\n")
    assert told(*flags) == []
    assert sys.modules["strict_plugin"].Strict.closed == [{"most": 5}], "the one that was made to be checked"


@pytest.mark.slow
def test_serve_tells_what_check_config_tells(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "sa.key").write_text("garbage")
    assert cli.main(["check-config", f"--data-dir={data}", *LOCAL]) == 1
    [line] = capsys.readouterr().out.splitlines()
    done = serving(f"--data-dir={data}")
    assert (done.returncode, done.stderr) == (1, f"Error: {line}\n")


def test_a_member_of_the_wrong_type_is_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "admission.yaml"
    head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n"
    flags = [f"--data-dir={tmp_path}/data", f"--admission-control-config-file={file}"]
    file.write_text(f"{head}plugins: 5\n")
    assert told(*flags) == [f"{file}: plugins: it must be a list (--admission-control-config-file)"]
    quota = "- name: ResourceQuota\n  configuration: {limitedResources: [5]}\n"
    file.write_text(f"{head}plugins:\n{quota}")
    [text] = told(*flags)
    assert "ResourceQuota: limitedResources: it must be a list of objects" in text


CONTENTS = {
    "empty": b"",
    "text": b"garbage",
    "binary": bytes(range(256)),
    "list": b"- a\n",
    "object": b"a: 1\n",
    "broken": b"a: [\n b: }\n",
    "pem": b"-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n",
    "plugins": b"apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: 5\n",
    "users": b"apiVersion: v1\nkind: Config\ncontexts: {a: b}\ncurrent-context: a\n",
}
FLAGS = [
    "--audit-log-path={file} --audit-policy-file={good}/policy.yaml",
    "--audit-log-path={file}/x --audit-policy-file={good}/policy.yaml",
    "--audit-policy-file={file} --audit-log-path=-",
    "--audit-policy-file={good}/policy.yaml --audit-webhook-config-file={file}",
    "--authentication-config={file}",
    "--authorization-config={file}",
    "--authentication-token-webhook-config-file={file}",
    "--authorization-mode=RBAC,Webhook --authorization-webhook-config-file={file}",
    "--authorization-mode=RBAC,ABAC --authorization-policy-file={file}",
    "--admission-control-config-file={file}",
    "--admission-control-config-file={file} --enable-admission-plugins=ImagePolicyWebhook,EventRateLimit",
    "--encryption-provider-config={file}",
    "--egress-selector-config-file={file}",
    "--tracing-config-file={file}",
    "--token-auth-file={file}",
    "--client-ca-file={file}",
    "--requestheader-client-ca-file={file}",
    "--service-account-key-file={file}",
    "--service-account-signing-key-file={file} --service-account-key-file={good}/cert.key",
    "--service-account-signing-key-file={good}/cert.crt --service-account-key-file={file}",
    "--tls-cert-file={file} --tls-private-key-file={good}/cert.key",
    "--tls-cert-file={good}/cert.crt --tls-private-key-file={file}",
    "--tls-sni-cert-key={file},{good}/cert.key",
    "--tls-sni-cert-key={good}/cert.crt,{good}/cert.key:a,b",
    "--oidc-issuer-url=https://127.0.0.1:1 --oidc-client-id=a --oidc-ca-file={file}",
    "--write-kubeconfig={file}/x",
    "--cert-dir={file}",
    "--data-dir={file}",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    for name, content in CONTENTS.items():
        (made / name).write_bytes(content)
    (made / "directory").mkdir()
    (made / "policy.yaml").write_text(POLICY)
    certificate, key = CertificateAuthority.create("a").issue("localhost", hosts=["localhost"], server=True)
    (made / "cert.crt").write_bytes(certificate)
    (made / "cert.key").write_bytes(key)
    return made


async def refused(flags: list[str]) -> str:
    """Why a server does not start, by its own account; "" when it serves."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        try:
            server = Server(options.parse(flags, ours=True), sockets=[sock])
            await asyncio.wait_for(server.start(), 60)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        await server.stop(0)
        return ""


@pytest.mark.slow
@settings(max_examples=30 * SCALE, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from(FLAGS), st.sampled_from([*CONTENTS, "directory", "cert.crt", "cert.key"])),
        min_size=1,
        max_size=2,
        unique_by=lambda one: one[0].partition("=")[0],
    )
)
def test_check_config_refuses_whatever_a_server_refuses(files: Path, chosen: list[tuple[str, str]]) -> None:
    """A server that is made in this process has not been through the check."""
    flags = [*LOCAL, f"--data-dir={files}/data"]
    for texts, name in chosen:
        flags += texts.format(file=files / name, good=files).split()
    found = told(*flags)
    why = asyncio.run(refused(flags))
    assert found or not why, (flags, why)
