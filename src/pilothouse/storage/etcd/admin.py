"""The commands of `pilothouse etcd`: show status, compact, defragment, disarm alarms."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import etcd3
import etcd3.errors
import etcd3.utils
import requests

TIMEOUT = 30.0
"""Seconds for a call; the defragmentation of a full database takes long."""

Row = Sequence[object]


class Admin:
    """Talks to the members at `servers`, one after another, over etcd's JSON gateway."""

    def __init__(self, servers: Sequence[str], ca: str = "", cert: str = "", key: str = "") -> None:
        self._servers = tuple(servers)
        self._tls = {"cert": (cert, key) if cert else (), "verify": ca or None}
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, server: str) -> Any:
        """The client of a member; ConnectionError when it does not answer."""
        found = self._clients.get(server)
        if found is None:
            url = urlsplit(server if "://" in server else f"http://{server}")
            settings = {"protocol": url.scheme, "timeout": TIMEOUT, **self._tls}
            try:
                found = etcd3.Client(url.hostname, url.port or 2379, **settings)
            except AttributeError:  # etcd3-py raises it when the version cannot be read
                raise requests.ConnectionError(f"{server} does not answer") from None
            found._session.trust_env = False  # REQUESTS_CA_BUNDLE would beat --etcd-cafile
            self._clients[server] = found
        return found

    def status(self) -> list[Row]:
        """Each member's version, database size, the share of it in use, revision, and whether it leads."""
        out: list[Row] = [("ENDPOINT", "VERSION", "DB SIZE", "IN USE", "REVISION", "LEADER", "ERRORS")]
        for server in self._servers:
            try:
                client = self._client(server)
            except requests.ConnectionError as error:
                out.append((server, "-", "-", "-", "-", "-", error))
                continue
            found = client.call_rpc("/maintenance/status", data={}, raw=True).json()
            header = found.get("header", {})
            leads = found.get("leader") == header.get("member_id")
            sizes = (_mebibytes(found.get("dbSize", 0)), _mebibytes(found.get("dbSizeInUse", 0)))
            errors = ", ".join(found.get("errors") or ())
            out.append((server, found.get("version"), *sizes, header.get("revision"), leads, errors))
        return out

    def members(self) -> list[Row]:
        """The members that the cluster lists."""
        out: list[Row] = [("ID", "NAME", "PEER", "CLIENT")]
        for member in self._any().member_list().members:
            urls = (",".join(member.peerURLs or ()), ",".join(member.clientURLs or ()))
            out.append((f"{member.ID:x}", member.name or "", *urls))
        return out

    def alarms(self) -> list[Row]:
        """The active alarms: NOSPACE, CORRUPT."""
        out: list[Row] = [("MEMBER", "ALARM")]
        return out + [(f"{int(a['memberID']):x}", a["alarm"]) for a in self._alarms()]

    def compact(self) -> list[Row]:
        """Compact all history up to now. Older continue tokens and watches expire."""
        client = self._any()
        revision = client.status().header.revision
        client.compact(revision, True)
        return [("COMPACTED TO",), (revision,)]

    def defragment(self) -> list[Row]:
        """Defragment the members one by one; a member does not answer meanwhile."""
        out: list[Row] = [("ENDPOINT", "BEFORE", "AFTER")]
        for server in self._servers:
            client = self._client(server)
            before = client.status().dbSize
            client.defragment()
            out.append((server, _mebibytes(before), _mebibytes(client.status().dbSize)))
        return out

    def disarm(self) -> list[Row]:
        """Disarm the alarms, so that etcd accepts writes again."""
        client = self._any()
        for alarm in self._alarms():
            client.call_rpc("/maintenance/alarm", data={"action": "DEACTIVATE", **alarm}, raw=True)
        return self.alarms()

    def _alarms(self) -> list[dict[str, Any]]:
        answer = self._any().call_rpc("/maintenance/alarm", data={"action": "GET"}, raw=True)
        found: list[dict[str, Any]] = answer.json().get("alarms") or []
        return found

    def _any(self) -> Any:
        """The first member that answers."""
        problem: Exception | None = None
        for server in self._servers:
            try:
                client = self._client(server)
                client.status()
                return client
            except (requests.RequestException, etcd3.errors.Etcd3Exception) as error:
                problem = error
        assert problem is not None
        raise problem


COMMANDS: dict[str, Callable[[Admin], list[Row]]] = {
    "status": Admin.status,
    "members": Admin.members,
    "alarms": Admin.alarms,
    "compact": Admin.compact,
    "defragment": Admin.defragment,
    "disarm": Admin.disarm,
}


def run(command: str, servers: Sequence[str], ca: str = "", cert: str = "", key: str = "") -> list[Row]:
    """Run one of COMMANDS: the rows that it tells. OSError when no member answers or one refuses."""
    with opened(servers, ca, cert, key) as admin:
        return COMMANDS[command](admin)


@contextlib.contextmanager
def opened(servers: Sequence[str], ca: str = "", cert: str = "", key: str = "") -> Iterator[Admin]:
    """The members at `servers`. What fails within is raised as OSError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", etcd3.utils.Etcd3Warning)  # of a member that does not answer
        admin = Admin(servers, ca, cert, key)
        try:
            yield admin
        except etcd3.errors.Etcd3Exception as error:
            raise OSError(str(error)) from None
        finally:
            admin.close()


def _mebibytes(size: object) -> str:
    return f"{int(str(size)) / 1048576:.1f} MiB"


def table(rows: Sequence[Row]) -> str:
    """The rows as text, in columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in texts) for at in range(len(texts[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)
