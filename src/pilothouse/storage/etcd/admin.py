"""What an operator does with etcd (`pilothouse etcd`): look, compact, defragment, take alarms back."""

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import etcd3
import etcd3.errors
import etcd3.utils
import requests

TIMEOUT = 30.0
"""Seconds for a call; a defragmentation of a full database takes a while."""

Row = Sequence[object]


class Admin:
    """The members at `servers`, asked one after another over etcd's JSON gateway."""

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
            except AttributeError:  # its way to say that it could not ask for the version
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
        """The members as the cluster knows them."""
        out: list[Row] = [("ID", "NAME", "PEER", "CLIENT")]
        for member in self._any().member_list().members:
            urls = (",".join(member.peerURLs or ()), ",".join(member.clientURLs or ()))
            out.append((f"{member.ID:x}", member.name or "", *urls))
        return out

    def alarms(self) -> list[Row]:
        """What is wrong: NOSPACE, CORRUPT."""
        out: list[Row] = [("MEMBER", "ALARM")]
        return out + [(f"{int(a['memberID']):x}", a["alarm"]) for a in self._alarms()]

    def compact(self) -> list[Row]:
        """Forget all history up to now: continue tokens and watches from before end."""
        client = self._any()
        revision = client.status().header.revision
        client.compact(revision, True)
        return [("COMPACTED TO",), (revision,)]

    def defragment(self) -> list[Row]:
        """Give free pages back, member by member, each of which stands still meanwhile."""
        out: list[Row] = [("ENDPOINT", "BEFORE", "AFTER")]
        for server in self._servers:
            client = self._client(server)
            before = client.status().dbSize
            client.defragment()
            out.append((server, _mebibytes(before), _mebibytes(client.status().dbSize)))
        return out

    def disarm(self) -> list[Row]:
        """Take alarms back: writes are let in again."""
        client = self._any()
        for alarm in self._alarms():
            client.call_rpc("/maintenance/alarm", data={"action": "DEACTIVATE", **alarm}, raw=True)
        return self.alarms()

    def _alarms(self) -> list[dict[str, Any]]:
        answer = self._any().call_rpc("/maintenance/alarm", data={"action": "GET"}, raw=True)
        found: list[dict[str, Any]] = answer.json().get("alarms") or []
        return found

    def _any(self) -> Any:
        """A member that answers."""
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


def run(command: str, servers: Sequence[str], ca: str = "", cert: str = "", key: str = "") -> int:
    """Do one command and print what it says; the process's exit status."""
    action = COMMANDS.get(command)
    if action is None:
        print(f"Error: etcd {command or '?'}: must be one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", etcd3.utils.Etcd3Warning)  # of a member that does not answer
        admin = Admin(servers, ca, cert, key)
        try:
            print(_table(action(admin)))
            return 0
        except (requests.RequestException, etcd3.errors.Etcd3Exception) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
        finally:
            admin.close()


def _mebibytes(size: object) -> str:
    return f"{int(str(size)) / 1048576:.1f} MiB"


def _table(rows: Sequence[Row]) -> str:
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in texts) for at in range(len(texts[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)
