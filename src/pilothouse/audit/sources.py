"""The addresses that a request came from, and the agent that sent it, as an audit event names them."""

from collections.abc import Mapping

from pilothouse.api.values import addresses

AGENT_BYTES = 1024
"""Bytes of a user agent that are recorded (apiserver pkg/audit/request.go)."""
CUT = "...TRUNCATED"


def source_ips(headers: Mapping[str, str], peer: str) -> list[str]:
    """X-Forwarded-For, X-Real-Ip and the peer, each address once in a row (apimachinery util/net SourceIPs).

    All but the last one can be made up by the client.
    """
    forwarded = headers.get("x-forwarded-for", "").split(",")
    found = [address for part in forwarded if (address := _address(part.strip()))]
    real = _address(headers.get("x-real-ip", ""))
    if real and real not in found:
        found.append(real)
    address = _address(peer)
    if address and (not found or found[-1] != address):
        found.append(address)
    return found


def _address(text: str) -> str:
    """An IP address as Go prints it, "" for what is none."""
    address = addresses.parse_ip(text) if text else None
    return "" if address is None else str(address)


def user_agent(text: str) -> str:
    """The User-Agent header, cut when it is long."""
    if len(text) <= AGENT_BYTES // 4:
        return text
    data = text.encode()
    return text if len(data) <= AGENT_BYTES else data[:AGENT_BYTES].decode("utf-8", "replace") + CUT
