"""`pilothouse kubeconfig`."""

import base64
import pathlib
from typing import Any

import pytest
import yaml
from cryptography import x509

from pilothouse import cli, pki
from pilothouse.configuration import options
from pilothouse.configuration.last_port import record_port


def made(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.main(["kubeconfig", "--create", *arguments]) == 0
    return yaml.safe_load(capfd.readouterr().out)


def test_a_user_with_groups(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = [f"--data-dir={tmp_path}", "--advertise-address=192.0.2.7", "--secure-port=7443"]
    config = made(capfd, *flags, "--user=system:kube-scheduler", "--group=a,b", "--group=c", "--duration=24h")
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.7:7443"
    (user,) = config["users"]
    cert = x509.load_pem_x509_certificate(base64.b64decode(user["user"]["client-certificate-data"]))
    assert sorted(cert.subject.rfc4514_string().split(",")) == [
        "CN=system:kube-scheduler",
        "O=a",
        "O=b",
        "O=c",
    ]
    assert (cert.not_valid_after_utc - cert.not_valid_before_utc).days == 1
    cert.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes()))


def test_a_token(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "deep" / "file"
    flags = [f"--data-dir={tmp_path}/data", "--token=abcdef.0123456789abcdef", "--server=https://lb:1"]
    assert cli.main(["kubeconfig", "--create", *flags, f"--write-kubeconfig={target}"]) == 0
    assert capfd.readouterr().out == "" and target.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(target.read_text())
    assert config["users"][0]["user"] == {"token": "abcdef.0123456789abcdef"}
    assert config["clusters"][0]["cluster"]["server"] == "https://lb:1"


def test_the_administrator_elsewhere(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = made(capfd, f"--data-dir={tmp_path}", "--server=https://lb:1")
    assert config["clusters"][0]["cluster"]["server"] == "https://lb:1"
    assert config["users"][0]["name"] == "kubernetes-admin"


def test_the_port_of_the_server(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The port on which a server has listened counts, unless a flag says otherwise."""
    flag = f"--data-dir={tmp_path}"
    record_port(options.parse([flag]).data, 7443)
    assert made(capfd, flag)["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"
    assert made(capfd, flag, "--user=a", "--bind-address=192.0.2.7")["clusters"][0]["cluster"]["server"] == (
        "https://192.0.2.7:7443"
    )
    assert made(capfd, flag, "--secure-port=1")["clusters"][0]["cluster"]["server"].endswith(":1")
    (tmp_path / "port").write_text("")
    assert made(capfd, flag)["clusters"][0]["cluster"]["server"].endswith(":6443")


def test_a_servers_certificate_is_left_alone(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command does not have the server's flags, by which the certificate is made."""
    flags = [f"--data-dir={tmp_path}", "--service-cluster-ip-range=10.96.0.0/16"]
    pki.prepare(options.parse([*flags, "--advertise-address=192.0.2.7", "--external-hostname=lb"]))
    before = (tmp_path / "apiserver.crt").read_bytes()
    made(capfd, f"--data-dir={tmp_path}", "--user=a")
    assert (tmp_path / "apiserver.crt").read_bytes() == before
    made(capfd, f"--data-dir={tmp_path}/fresh", "--user=a")
    assert (tmp_path / "fresh" / "ca.crt").exists() and not (tmp_path / "fresh" / "apiserver.crt").exists()


def test_a_ca_that_cannot_be_used_is_not_replaced(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pki.prepare(options.parse([f"--data-dir={tmp_path}"]))
    (tmp_path / "ca.crt").write_text("garbage")
    assert cli.main(["kubeconfig", f"--data-dir={tmp_path}"]) == 1
    assert f"the CA in {tmp_path}/ca.crt and {tmp_path}/ca.key cannot be used" in capfd.readouterr().err
    assert (tmp_path / "ca.crt").read_text() == "garbage"


@pytest.mark.parametrize("more", [[], ["--user=a"], ["--token=a"], ["--server=https://lb:1"]])
def test_a_directory_that_no_server_has(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """A typing error makes neither a CA that nobody trusts nor a directory."""
    (tmp_path / "empty").mkdir(mode=0o755)
    for typo in ("typo", "empty"):
        assert cli.main(["kubeconfig", f"--data-dir={tmp_path / typo}", *more]) == 1
        said = capfd.readouterr()
        assert said.out == "" and f"the data directory {tmp_path / typo} has no CA (ca.crt): " in said.err
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--user=a", "--token=b"], "--user and --token exclude each other"),
        (["--group=a"], "--group needs --user"),
        (["--user=a", "--duration=0"], "--duration must be longer than 0"),
        (["--user=a", "b"], "does not take any arguments"),
        (["--usr=a"], "unknown flag: --usr"),
        (["--secure-port=0"], "--secure-port 0 must be between"),
        (["--server=lb"], "--server takes a URL such as https://192.0.2.1:6443, got 'lb'"),
        (["--token=a", "--server=https://"], "--server takes a URL"),
    ],
)
def test_what_it_does_not_do(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert cli.main(["kubeconfig", f"--data-dir={tmp_path}", *arguments]) == 2
    said = capfd.readouterr()
    assert problem in said.err and said.out == ""
