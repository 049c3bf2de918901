"""The listener: its address, its TLS, and the limits of its connections."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, generic, misc, own, secure_serving
from pilothouse.process.frozen import frozen

TLS_VERSIONS = ("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13")


@frozen(eq=False)
class ServingOptions(Section):
    """The listener: its address, its TLS, and the limits of its connections."""

    # fmt: off
    advertise_address: str = generic("", "ip",
        "Address by which the members of the cluster reach this server; the bind address, or the host's "
        "own, when unset.")
    bind_address: str = secure_serving("0.0.0.0", "ip", "Address to listen on; 0.0.0.0 or :: for all.")
    disable_http2_serving: bool = secure_serving(False, "bool", "Serve HTTP/1.1 only.")
    external_hostname: str = generic("", "string",
        "Host name in the URLs that the server gives out, such as those of the token issuer's keys.")
    http2_max_streams_per_connection: int = secure_serving(0, "int",
        "Requests, watches among them, that one HTTP/2 connection may have at a time; 0 = 1000.")
    max_connection_bytes_per_sec: int = misc(0, "int", "Rate of a long-running connection.", effective=False)
    max_unauthenticated_connections: int = own(0, "int",
        "Connections on which nobody was authenticated yet; one more ends the oldest of the address that has "
        "most. Default: 1024, at most half of the files that may be open.")
    permit_address_sharing: bool = secure_serving(False, "bool",
        "Set SO_REUSEADDR, so that a socket in TIME_WAIT does not stop a restart; always set.",
        effective=False)
    permit_port_sharing: bool = secure_serving(False, "bool",
        "Set SO_REUSEPORT, so that several servers can listen on one port.")
    secure_port: int = secure_serving(6443, "int",
        "Port to serve HTTPS on. It cannot be switched off with 0.")
    tls_cert_file: str = secure_serving("", "file",
        "Serving certificate, followed by its chain; goes with --tls-private-key-file.")
    tls_cipher_suites: tuple[str, ...] = secure_serving((), "strings",
        "Cipher suites for TLS 1.2, by their Go names; those of TLS 1.3 cannot be chosen.")
    tls_curve_preferences: tuple[int, ...] = secure_serving((), "ints",
        "Numbers of the key exchanges to offer, the preferred one first: 23, 24, 25, 29, 4588 (Go's "
        "CurveID).")
    tls_min_version: str = secure_serving("", "string", "Oldest TLS version: VersionTLS12 or VersionTLS13.")
    tls_private_key_file: str = secure_serving("", "file", "Key of --tls-cert-file.")
    tls_sni_cert_key: tuple[tuple[str, str, tuple[str, ...]], ...] = secure_serving((), "certKey",
        "Further certificates as cert,key or cert,key:name,name; repeatable. Without names those of the "
        "certificate count.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: an impossible port, TLS settings or limits."""
        yield from self.negative("max_unauthenticated_connections")
        if not 1 <= self.secure_port <= 65535:
            yield (
                f"--secure-port {self.secure_port} must be between 1 and 65535, inclusive. "
                "It cannot be turned off with 0"
            )
        if self.tls_min_version and self.tls_min_version not in TLS_VERSIONS:
            yield f'unknown tls version "{self.tls_min_version}"'
        for at, number in enumerate(self.tls_curve_preferences):
            from pilothouse.server.tls import CURVES

            if not 1 <= number <= 65535:
                yield f"curve preference {number} is out of range (must be 1-65535)"
            elif number in self.tls_curve_preferences[:at]:
                yield f"duplicate curve preference {number}"
            elif number not in CURVES:
                yield f"curve preference {number} is not supported by the current Go version"
        if self.tls_cipher_suites:
            from pilothouse.server.tls import CIPHERS

            for name in self.tls_cipher_suites:
                if name not in CIPHERS:
                    yield f"Cipher suite {name} not supported or doesn't exist"
        yield from self.together("tls_cert_file", "tls_private_key_file")
