"""Certificates and flags of servers that ask others on behalf of their users,
and of those that trust them."""

from pathlib import Path

from pilothouse.pki import CertificateAuthority, pem

HEADERS = (
    ("username-headers", "User"),
    ("uid-headers", "Uid"),
    ("group-headers", "Group"),
    ("extra-headers-prefix", "Extra-"),
)


def front_proxy(folder: Path) -> tuple[list[str], list[str]]:
    """Flags of the server in front, and of the one behind it, which trusts the other one's certificate."""
    authority = CertificateAuthority.create("front-proxy-ca")
    cert, key = authority.issue("front-proxy", server=False)
    for name, data in (("ca.crt", pem(authority.certificate)), ("p.crt", cert), ("p.key", key)):
        (folder / name).write_bytes(data)
    ahead = [f"--proxy-client-cert-file={folder}/p.crt", f"--proxy-client-key-file={folder}/p.key"]
    behind = [f"--requestheader-client-ca-file={folder}/ca.crt", "--requestheader-allowed-names=front-proxy"]
    behind += [f"--requestheader-{name}=X-Remote-{value}" for name, value in HEADERS]
    return ahead, behind
