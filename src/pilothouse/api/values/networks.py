"""Networks of IP addresses, as flags name them."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=16)
def networks(ranges: str) -> tuple[Network, ...]:
    """The networks of a flag's text, with commas between them; ValueError. All clusters have the same."""
    return tuple(ip_network(one.strip(), strict=False) for one in ranges.split(","))
