import base64
import datetime
import ipaddress
import os
import pathlib
import ssl
import subprocess
import sys
import time

import pytest
import small_disk
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID
from quality.test_imports import python

from pilothouse import pki
from pilothouse.configuration import options
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.config import Config
from pilothouse.files import write_file


def prepare(tmp_path: pathlib.Path, *more: str) -> tuple[Config, pki.Files]:
    config = options.parse([f"--data-dir={tmp_path}/data", "--service-cluster-ip-range=10.96.0.0/12", *more])
    return config, pki.prepare(config)


def load(path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())


def purposes(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_what_is_made(tmp_path: pathlib.Path) -> None:
    start = time.process_time()
    _, files = prepare(tmp_path, "--bind-address=192.0.2.7")
    assert time.process_time() - start < 1
    ca, serving, admin = load(files.ca_cert), load(files.serving_cert), load(files.admin_cert)
    for certificate in (serving, admin):
        certificate.verify_directly_issued_by(ca)
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    assert {"localhost", "kubernetes", "kubernetes.default.svc.cluster.local"} <= set(dns)
    addresses = set(map(str, names.get_values_for_type(x509.IPAddress)))
    assert {"127.0.0.1", "::1", "10.96.0.1", "192.0.2.7"} == addresses
    assert purposes(serving) == [Purpose.SERVER_AUTH] and purposes(admin) == [Purpose.CLIENT_AUTH]
    assert [a.value for a in admin.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:masters"
    ]
    assert admin.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "kubernetes-admin"
    for key in (files.serving_key, files.admin_key, files.signing_key, str(tmp_path / "data" / "ca.key")):
        assert pathlib.Path(key).stat().st_mode & 0o777 == 0o600
        load_pem_private_key(pathlib.Path(key).read_bytes(), None)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.serving_cert, files.serving_key)
    signs = load_pem_private_key(pathlib.Path(files.signing_key).read_bytes(), None)
    assert load_pem_public_key((tmp_path / "data" / "sa.pub").read_bytes()) == signs.public_key()


def test_second_start_keeps_what_is_good(tmp_path: pathlib.Path) -> None:
    _, first = prepare(tmp_path)
    before = {
        path: pathlib.Path(path).read_bytes()
        for path in (first.ca_cert, first.serving_cert, first.admin_cert)
    }
    prepare(tmp_path)
    assert before == {path: pathlib.Path(path).read_bytes() for path in before}
    prepare(tmp_path, "--external-hostname=api.example.com")
    names = load(first.serving_cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "api.example.com" in names.get_values_for_type(x509.DNSName)
    assert pathlib.Path(first.ca_cert).read_bytes() == before[first.ca_cert]


def test_what_was_found_good_is_not_read_again(tmp_path: pathlib.Path) -> None:
    _, first = prepare(tmp_path)
    program = (
        "import sys; from pilothouse import pki; from pilothouse.configuration import options\n"
        "files = pki.prepare(options.parse(sys.argv[1:]))\n"
        "found = (path in files.sound for path in (files.serving_cert, files.signing_key))\n"
        "print('cryptography' in sys.modules, *found)"
    )
    flags = [f"--data-dir={tmp_path}/data", "--service-cluster-ip-range=10.96.0.0/12"]

    def started(*more: str) -> list[str]:
        return python("-c", program, *flags, *more).stdout.split()

    assert started() == ["False", "True", "True"]
    assert started("--external-hostname=api.example.com") == ["True", "False", "False"], "made anew for it"
    assert started("--external-hostname=api.example.com") == ["False", "True", "True"]
    pathlib.Path(first.admin_key).write_bytes(b"none")
    assert started("--external-hostname=api.example.com") == ["True", "False", "False"], "made anew"
    assert first.sound == () and pathlib.Path(first.admin_key).read_bytes() != b"none"


def test_a_key_of_tokens_that_others_have_made_is_read_at_each_start(tmp_path: pathlib.Path) -> None:
    config, files = prepare(tmp_path)
    assert pki.prepare(config).sound
    pathlib.Path(files.signing_key).write_bytes(pki.key_pem(ec.generate_private_key(ec.SECP256R1())))
    assert [pki.prepare(config).sound for _ in range(2)] == [(), ()]
    pathlib.Path(files.signing_key).write_bytes(b"none")
    assert [pki.prepare(config).sound for _ in range(2)] == [(), ()]


def test_a_foreign_serving_certificate_is_looked_at_each_time(tmp_path: pathlib.Path) -> None:
    config, files = prepare(tmp_path)
    other = pki.CertificateAuthority.create("others")
    pathlib.Path(files.serving_cert).write_bytes(pki.pem(other.certificate))
    pathlib.Path(files.serving_key).write_bytes(pki.key_pem(other.key))
    for _ in range(2):
        again = pki.prepare(config)
        assert again.sound == () and again.ca_cert == again.serving_cert


@pytest.mark.parametrize(("days", "kept"), [(29, False), (31, True)])
def test_what_expires_within_a_month_is_renewed(tmp_path: pathlib.Path, days: int, kept: bool) -> None:
    _, files = prepare(tmp_path)
    ca = pathlib.Path(files.ca_cert)
    authority = pki.CertificateAuthority.load(ca, ca.with_suffix(".key"))
    assert authority is not None
    cert, key = authority.issue("kubernetes-admin", ["system:masters"], server=False, days=days)
    pathlib.Path(files.admin_cert).write_bytes(cert)
    pathlib.Path(files.admin_key).write_bytes(key)
    before = ca.read_bytes()
    prepare(tmp_path)
    assert (pathlib.Path(files.admin_cert).read_bytes() == cert) is kept
    assert ca.read_bytes() == before


ON_A_FULL_DISK = """
import errno, pathlib, sys
from pilothouse.configuration import options
from pilothouse import pki

data = pathlib.Path(sys.argv[1])
config = options.parse([f"--data-dir={data}"])
files = pki.prepare(config)
for ca, leaves in (("ca", ["admin", "apiserver-kubelet-client"]), ("front-proxy-ca", ["front-proxy-client"])):
    authority = pki.CertificateAuthority.create("kubernetes" if ca == "ca" else ca, days=20)
    made = {ca: (pki.pem(authority.certificate), pki.key_pem(authority.key))}
    made |= {name: authority.issue(name, server=False) for name in leaves}
    if ca == "ca":
        made["apiserver"] = authority.issue("kube-apiserver", hosts=pki.serving_hosts(config), server=True)
    for name, (certificate, key) in made.items():
        (data / f"{name}.crt").write_bytes(certificate)
        (data / f"{name}.key").write_bytes(key)
kept = {path: path.read_bytes() for path in data.iterdir()}
try:
    with (data / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    pass
assert pki.prepare(config) == files
assert {path: path.read_bytes() for path in kept} == kept and len(list(data.iterdir())) == len(kept) + 1
(data / "admin.crt").write_bytes(b"")
try:
    pki.prepare(config)
except OSError as error:
    assert error.errno == errno.ENOSPC
else:
    raise AssertionError("a certificate that cannot be used was kept")
(data / "ballast").unlink()
assert pki.prepare(config) == files
assert all(path.read_bytes() != old for path, old in kept.items() if path.suffix == ".crt")
"""
"""Certificates that are good for twenty days yet are to be renewed,
on a full disk and when there is space again."""


@pytest.mark.skipif(not small_disk.usable(), reason="no mount namespaces")
def test_on_a_full_disk_certificates_are_kept_that_are_still_good(tmp_path: pathlib.Path) -> None:
    said = small_disk.run(tmp_path, 1, "-c", ON_A_FULL_DISK, str(tmp_path))
    assert said.count("The disk is full, a certificate was not renewed") == 6 + 2, said


def test_new_authority_makes_new_certificates(tmp_path: pathlib.Path) -> None:
    _, first = prepare(tmp_path)
    pathlib.Path(first.ca_cert).write_bytes(b"broken")
    _, second = prepare(tmp_path)
    ca = load(second.ca_cert)
    load(second.serving_cert).verify_directly_issued_by(ca)
    load(second.admin_cert).verify_directly_issued_by(ca)


def test_operators_certificates_win(tmp_path: pathlib.Path) -> None:
    theirs = pki.CertificateAuthority.create("theirs")
    cert, key = theirs.issue("api", hosts=["api.example.com"], server=True)
    directory = tmp_path / "certs"
    write_file(directory / "apiserver.crt", cert)
    write_file(directory / "apiserver.key", key)
    _, files = prepare(tmp_path, f"--cert-dir={directory}")
    assert files.serving_cert == files.ca_cert == str(directory / "apiserver.crt")
    assert pathlib.Path(files.serving_cert).read_bytes() == cert
    flags = [
        f"--tls-cert-file={directory}/apiserver.crt",
        f"--tls-private-key-file={directory}/apiserver.key",
    ]
    _, files = prepare(tmp_path, *flags, f"--client-ca-file={directory}/apiserver.crt")
    assert (files.serving_cert, files.serving_key) == (
        f"{directory}/apiserver.crt",
        f"{directory}/apiserver.key",
    )
    assert files.client_ca == (f"{directory}/apiserver.crt", f"{tmp_path}/data/ca.crt")


def test_kubeconfig(tmp_path: pathlib.Path) -> None:
    config, files = prepare(tmp_path)
    document = yaml.safe_load(pki.admin_kubeconfig(config.serving, files))
    assert document["kind"] == "Config" and document["current-context"] == "pilothouse"
    user = document["users"][0]["user"]
    assert base64.b64decode(user["client-certificate-data"]) == pathlib.Path(files.admin_cert).read_bytes()
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    config, files = prepare(tmp_path, "--bind-address=2001:db8::1")
    assert "https://[2001:db8::1]:1234" in pki.admin_kubeconfig(config.serving, files, 1234).decode()


def test_service_address_is_the_first_of_each_range() -> None:
    config = options.parse(["--service-cluster-ip-range=10.0.0.0/24,fd00:1::/112"])
    hosts = pki.serving_hosts(config)
    assert "10.0.0.1" in hosts and str(ipaddress.ip_address("fd00:1::1")) in hosts


def test_servers_that_start_together_make_everything_once(tmp_path: pathlib.Path) -> None:
    program = """
import sys
from pilothouse.configuration import options
from pilothouse import pki
from pilothouse.configuration.addresses import advertised
files = pki.prepare(options.parse([f"--data-dir={sys.argv[1]}"]))
paths = (files.ca_cert, files.serving_cert, files.signing_key, files.admin_cert)
print(*(hash(open(path).read()) for path in paths))
"""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(pathlib.Path(pki.__file__).parents[1]),
    }
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    said = {process.communicate(timeout=30)[0] for process in started}
    assert len(said) == 1 and len(said.pop().split()) == 4
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "data/apiserver.crt", tmp_path / "data/apiserver.key")


def organizations(certificate: x509.Certificate) -> list[object]:
    return [a.value for a in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def test_a_server_is_known_to_kubelets_and_aggregated_servers(tmp_path: pathlib.Path) -> None:
    config, files = prepare(tmp_path)
    ca, kubelet = load(files.ca_cert), load(files.kubelet_cert)
    kubelet.verify_directly_issued_by(ca)
    assert kubelet.subject.rfc4514_string() == "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"
    proxies, proxy = load(files.proxy_ca), load(files.proxy_cert)
    proxy.verify_directly_issued_by(proxies)
    assert proxies.subject.rfc4514_string() == "CN=front-proxy-ca" and proxies != ca
    assert proxy.subject.rfc4514_string() == "CN=front-proxy-client"
    assert purposes(kubelet) == purposes(proxy) == [Purpose.CLIENT_AUTH]
    for key in (files.kubelet_key, files.proxy_key, str(tmp_path / "data" / "front-proxy-ca.key")):
        assert pathlib.Path(key).stat().st_mode & 0o777 == 0o600
    full = pki.completed(config, files)
    sent, headers = full.outbound, full.authentication.request_header
    assert (sent.kubelet_client_certificate, sent.kubelet_client_key) == (
        files.kubelet_cert,
        files.kubelet_key,
    )
    assert (sent.proxy_client_cert_file, sent.proxy_client_key_file) == (files.proxy_cert, files.proxy_key)
    assert headers.requestheader_client_ca_file == files.proxy_ca
    assert headers.requestheader_allowed_names == ("front-proxy-client",)
    assert headers.requestheader_username_headers == ("X-Remote-User",)
    assert headers.requestheader_group_headers == ("X-Remote-Group",)
    assert full.given == config.given


def test_what_the_flags_name_is_not_made(tmp_path: pathlib.Path) -> None:
    write_file(tmp_path / "theirs", b"")
    theirs = tmp_path / "theirs"
    flags = [
        f"--kubelet-client-certificate={theirs}",
        f"--kubelet-client-key={theirs}",
        f"--requestheader-client-ca-file={theirs}",
        "--requestheader-username-headers=X-User",
    ]
    config, files = prepare(tmp_path, *flags)
    assert not any((files.kubelet_cert, files.kubelet_key, files.proxy_ca, files.proxy_cert, files.proxy_key))
    made = {path.name for path in (tmp_path / "data").iterdir()}
    assert not {name for name in made if name.startswith(("front-proxy", "apiserver-kubelet"))}
    full = pki.completed(config, files)
    assert full.outbound.kubelet_client_certificate == str(theirs)
    assert full.authentication.request_header.requestheader_username_headers == ("X-User",)
    flags = [f"--proxy-client-cert-file={theirs}", f"--proxy-client-key-file={theirs}"]
    _, files = prepare(tmp_path, *flags)
    assert not files.proxy_ca and files.kubelet_cert
    config, files = prepare(tmp_path, "--requestheader-username-headers=X-User")
    headers = pki.completed(config, files).authentication.request_header
    assert headers.requestheader_username_headers == ("X-User",)


def test_the_advertised_address_is_in_the_serving_certificate(tmp_path: pathlib.Path) -> None:
    config, files = prepare(tmp_path)
    names = load(files.serving_cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert advertised(config.serving) in map(str, names.get_values_for_type(x509.IPAddress))


def test_a_running_server_keeps_its_authorities(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, files = prepare(tmp_path)
    for name in ("ca", "front-proxy-ca"):
        old = pki.CertificateAuthority.create(name, days=20)
        write_file(tmp_path / "data" / f"{name}.key", pki.key_pem(old.key))
        write_file(tmp_path / "data" / f"{name}.crt", pki.pem(old.certificate))
    before = [load(path) for path in (files.issuer_cert, files.proxy_ca)]
    pki.prepare(config, keep_authorities=True)
    assert [load(path) for path in (files.issuer_cert, files.proxy_ca)] == before
    load(files.admin_cert).verify_directly_issued_by(before[0])
    assert load(files.admin_cert).not_valid_after_utc == before[0].not_valid_after_utc
    assert {r.getMessage() for r in caplog.records} == {
        "A CA is about to expire, a restart makes another one"
    }
    pki.prepare(config)
    assert load(files.issuer_cert) != before[0] and load(files.proxy_ca) != before[1]


def test_a_kubeconfig_for_a_user(tmp_path: pathlib.Path) -> None:
    _, files = prepare(tmp_path)
    text = pki.issued_kubeconfig(files, "https://a:1", "jane", ["dev", "ops"], 7200)
    (user,) = yaml.safe_load(text)["users"]
    cert = x509.load_pem_x509_certificate(base64.b64decode(user["user"]["client-certificate-data"]))
    assert user["name"] == "jane" and organizations(cert) == ["dev", "ops"]
    assert cert.not_valid_after_utc - cert.not_valid_before_utc == datetime.timedelta(hours=2, minutes=5)
    cert.verify_directly_issued_by(load(files.ca_cert))
    text = pki.issued_kubeconfig(files, "https://a:1", "jane", [], 1e10)
    data = yaml.safe_load(text)["users"][0]["user"]["client-certificate-data"]
    longest = x509.load_pem_x509_certificate(base64.b64decode(data)).not_valid_after_utc
    assert longest == load(files.ca_cert).not_valid_after_utc, "no longer than the CA"
    pathlib.Path(files.issuer_key).unlink()
    with pytest.raises(OSError, match="cannot be used"):
        pki.issued_kubeconfig(files, "https://a:1", "jane")
