"""Throw-away certificates and readers over plain dicts."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier


class FakeReaders:
    """Cached objects by (resource, namespace, name)."""

    def __init__(self, *objects: Any) -> None:
        self.objects: dict[Any, Any] = {}
        self.add(*objects)

    def add(self, *objects: Any) -> None:
        for resource, obj in objects:
            metadata = obj["metadata"]
            self.objects[resource, metadata.get("namespace", ""), metadata["name"]] = obj

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        return self.objects.get((resource, namespace, name))

    def list(self, resource: Any, namespace: str = "") -> list[Any]:
        return [o for (r, n, _), o in self.objects.items() if r == resource and namespace in ("", n)]


class Authority:
    """A certificate authority, or one under another."""

    def __init__(self, name: str = "ca", parent: Any = None, **issue: Any) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name
        self.parent = parent
        self.certificate = (parent or self).issue(name, key=self.key, ca=True, **issue)

    @property
    def pem(self) -> Any:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> Any:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self,
        name: str,
        *,
        groups: Any = (),
        uid: str | tuple[Any, ...] = (),
        key: ec.EllipticCurvePrivateKey | None = None,
        ca: bool = False,
        days: int = 1,
        usage: Any = None,
        units: Any = (),
    ) -> Any:
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups]
        attributes += [x509.NameAttribute(ObjectIdentifier("1.3.6.1.4.1.57683.2"), u) for u in uid]
        attributes += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, u) for u in units]
        if name:
            attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        now = datetime.datetime.now(datetime.UTC)
        key = key or ec.generate_private_key(ec.SECP256R1())
        end = now + datetime.timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - datetime.timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            usages = [usage or ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def client(self, name: str, **more: Any) -> Any:
        """A client certificate in DER."""
        return self.issue(name, **more).public_bytes(serialization.Encoding.DER)


@pytest.fixture
def fake_readers() -> Any:
    return FakeReaders


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def other_authority() -> Authority:
    return Authority("other")


@pytest.fixture(scope="session")
def intermediate(authority: Authority) -> Authority:
    return Authority("middle", parent=authority)
