"""The addresses by which a server is reached."""

import ipaddress
import socket

from pilothouse.configuration.sections.serving import ServingOptions


def advertised(serving: ServingOptions) -> str:
    """The address by which the members of the cluster reach this server:
    the loopback one only if there is no other."""
    if serving.advertise_address:
        return serving.advertise_address
    bound = ipaddress.ip_address(serving.bind_address or "::")
    if not bound.is_unspecified and not bound.is_loopback:
        return serving.bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only picks the route's address
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address


def url(address: str, port: int) -> str:
    """The https URL of a server; an IPv6 address is put in brackets."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def reachable(serving: ServingOptions) -> str:
    """The address that a server is listening on:
    the one it is bound to, or the advertised one when it is bound to all."""
    if ipaddress.ip_address(serving.bind_address or "::").is_unspecified:
        return advertised(serving)
    return serving.bind_address
