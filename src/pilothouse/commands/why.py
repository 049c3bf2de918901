"""`pilothouse why`: asks the servers of a cluster why a request was answered as it was,
or which the latest ones are."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from pilothouse.api.values.fields import Object
from pilothouse.commands import output, why_text
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.journals import PATH, listed
from pilothouse.commands.progress import shown
from pilothouse.commands.servers import MOST, PATIENCE, QUIET, announced
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = ("data-dir", "cert-dir")
USAGE = """Say why a request was answered as it was. Its ID is in the header Audit-Id of the answer.

Usage:
  pilothouse why AUDIT-ID             What all servers know of a request.
  pilothouse why [--user NAME ...]    The latest requests, or those that the flags choose.
  pilothouse why --last [--user NAME ...]
                                      Explain the latest of them.
"""

FILTERS = ("user", "verb", "resource", "namespace", "code", "slow", "limit")
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    output.FLAG,
    Flag("last", "bool", False, "command", "Explain the latest of the requests that would be listed."),
    Flag("user", "string", "", "command", "List requests of this user."),
    Flag("verb", "string", "", "command", "List requests of this verb."),
    Flag("resource", "string", "", "command",
         "List requests about this resource, such as deployments.apps/scale."),
    Flag("namespace", "string", "", "command", "List requests in this namespace.", short="n"),
    Flag("code", "string", "", "command", "List requests that were answered with this code."),
    Flag("slow", "string", "", "command", "List requests that took this long, such as 500ms."),
    Flag("limit", "string", "", "command", "List so many requests. Default: 100."),
)  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Run the command; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if len(rest) > 1 or (rest and values["last"]):
        raise FlagError('"pilothouse why" takes one audit ID at most, and none with --last')
    for name in FILTERS:
        if values[name].startswith("--"):
            raise FlagError(f"--{name} needs a value, got the flag {values[name]}")
    for name in ("code", "limit"):
        if values[name] and not (values[name].isascii() and values[name].isdigit() and int(values[name])):
            raise FlagError(f"--{name} takes a positive number, got {values[name]!r}")
    form = output.chosen(values["output"])
    api = Api(kubeconfig_of(config.data, values["kubeconfig"]))
    filters = {name: values[name] for name in FILTERS if values[name]}
    with shown("asking"):
        audit_id = _last(api, filters) if values["last"] else rest[0] if rest else ""
        found = _explained(api, audit_id) if audit_id else listed(api, filters)
    if form in ("json", "yaml"):
        print(output.document(found, form))
    elif audit_id:
        print(why_text.explained(found))
    else:
        print(why_text.listed(found, wide=form == output.WIDE, colours=output.coloured()))


def _last(api: Api, filters: dict[str, Any]) -> str:
    """The ID of the latest request that the filters let through; ApiError when there is none."""
    requests = listed(api, {**filters, "limit": "1"})["requests"]
    if not requests:
        raise ApiError("no request is like that", 404)
    return str(requests[0]["auditID"])


def _explained(api: Api, audit_id: str) -> Object:
    """The explanation of a request by a server: the one of the kubeconfig, then all others.
    ApiError names those asked."""
    asked: list[str] = []
    path = f"{PATH}/{quote(audit_id, safe='')}"
    for server in _servers(api, asked):
        try:
            found = _ask(server, path, asked)
        except ApiError as error:
            if server is api:
                raise
            asked.append(f"{server.config.server} ({error})")
            continue
        if found is not None:
            return found
    raise _not_found(audit_id, asked)


def _servers(api: Api, asked: list[str]) -> Iterator[Api]:
    """The server of the kubeconfig, then those that the Service `kubernetes` leads to."""
    yield api
    for address in announced(api, asked):
        if address != api.address:
            yield api.other(*address)


def _ask(api: Api, path: str, asked: list[str]) -> Object | None:
    """The request as an address explains it; None when no process that answers there has it.

    Processes may share a port, and servers may stand behind a load balancer: connections are opened until no
    new process shows up.
    """
    processes: set[str] = set()
    quiet = 0
    while quiet < QUIET and len(processes) < MOST:
        try:
            return api.call("GET", path, seconds=PATIENCE)
        except ApiError as error:
            server = next(iter(error.details.get("causes") or ()), None)
            if error.status != 404 or server is None:
                raise
        told = f"process {server['field']} of {server['message'] or api.config.server}"
        quiet += 1
        if told not in processes:
            processes.add(told)
            quiet = 0
    asked += sorted(processes)
    return None


def _not_found(audit_id: str, asked: list[str]) -> ApiError:
    return ApiError(
        f'no server knows the request "{audit_id}": it has not ended yet, or too many have come since '
        f"(--explained-requests). Asked: {'; '.join(asked)}",
        404,
    )
