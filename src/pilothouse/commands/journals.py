"""The latest requests of a cluster: each process of each server keeps its own, and all of them are asked."""

from collections.abc import Mapping
from urllib.parse import urlencode

from pilothouse.api.values.fields import Object
from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.servers import PATIENCE, Asked, Servers

PATH = "/debug/requests"
LIMIT, MOST = 100, 1000
"""Requests that are listed when nothing is said, and at most, as the servers have it."""


class Journals:
    """The processes of all servers, which are asked again and again by connections that are kept."""

    def __init__(self, api: Api) -> None:
        self._servers = Servers(api, lambda one, seconds: asked(one, {"limit": "1"}, seconds))

    def listed(self, filters: Mapping[str, str]) -> Object:
        """The latest requests; ApiError. A process that no longer answers is looked for anew."""
        if not self._servers.found:
            self._servers.look()
        try:
            lists = [asked(one.api, filters, PATIENCE) for one in self._servers.found.values()]
        except ApiError:
            self.close()
            raise
        return joined([one.answer for one in lists], filters)

    def close(self) -> None:
        """Close all connections."""
        self._servers.close()
        self._servers.found.clear()


def listed(api: Api, filters: Mapping[str, str]) -> Object:
    """The latest requests of all servers together, as one of them lists its own; ApiError."""
    servers = Servers(api, lambda one, seconds: asked(one, filters, seconds))
    try:
        servers.look()
    finally:
        servers.close()
    out = joined([found.answer for found in servers.found.values()], filters)
    if servers.servers < servers.expected:
        out["notes"] = [f"{servers.servers} of {servers.expected} servers were asked", *servers.notes]
    return out


def asked(api: Api, filters: Mapping[str, str], seconds: float) -> Asked:
    """The list of one process."""
    found = api.call("GET", f"{PATH}?{urlencode(filters)}" if filters else PATH, seconds=seconds)
    server = found["server"]
    return Asked(server["name"], server["process"], server.get("sharesPort", True), found)


def joined(lists: list[Object], filters: Mapping[str, str]) -> Object:
    """Lists of several processes as one, in the order and of the length that was asked for."""
    order = "seconds" if filters.get("slowest") else "received"
    requests = [{**one, "server": each["server"]["name"]} for each in lists for one in each["requests"]]
    requests.sort(key=lambda one: one[order], reverse=True)
    limit = min(int(filters.get("limit") or LIMIT), MOST)
    return {
        "servers": [{name: each["server"][name] for name in ("name", "process")} for each in lists],
        "kept": sum(each["kept"] for each in lists),
        "more": len(requests) > limit or any(each["more"] for each in lists),
        "requests": requests[:limit],
    }
