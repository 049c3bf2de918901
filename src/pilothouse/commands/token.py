"""`pilothouse token create | list | delete`: bootstrap tokens, as `kubeadm token` has them.

A token is the secret kube-system/bootstrap-token-ID of a running server;
--enable-bootstrap-token-auth lets it in.
"""

import base64
import datetime
import ipaddress
import re
import secrets
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilothouse.api.values.fields import Object
from pilothouse.api.yaml import kubeconfigs
from pilothouse.commands import output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.kubeconfig import SERVER, TOKEN_USER, put, server_of
from pilothouse.configuration import options
from pilothouse.configuration.addresses import advertised, url
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.sections.serving import ServingOptions
from pilothouse.configuration.suggestions import nearest
from pilothouse.controllers.bootstrap_tokens import CLUSTER_INFO, PREFIX, TYPE, expires_at, token_text

NODES = "system:bootstrappers:kubeadm:default-node-token"
"""The group of tokens for nodes, as kubeadm names it."""
USAGES = ("signing", "authentication")

KUBECONFIG = Flag(
    "kubeconfig",
    "file",
    "",
    "command",
    "Credentials of an administrator. Default: admin.kubeconfig in --data-dir; without that flag"
    " $KUBECONFIG first.",
)
FLAGS = (
    KUBECONFIG,
    output.FLAG,
    SERVER,
    Flag("description", "string", "", "command", "What the token is for."),
    Flag("ttl", "duration", 86400.0, "command", "How long the token is good; 0 for ever."),
    Flag("usages", "strings", USAGES, "command", "What the token is good for: signing, authentication."),
    Flag("groups", "strings", (NODES,), "command", "Groups of who comes with the token."),
)
SERVER_FLAGS = ("data-dir", "cert-dir", "write-kubeconfig")
USAGE = """Look after the bootstrap tokens with which nodes join.

Usage:
  pilothouse token create [TOKEN] [flags]   Create a token and print it; --write-kubeconfig also writes a kubeconfig with it,
                                            for kubelet's --bootstrap-kubeconfig.
  pilothouse token list [flags]             List the tokens by their IDs, without their secrets.
  pilothouse token delete ID... [flags]     Delete tokens by their first six characters.

All take -o json|yaml.

The server must run with --enable-bootstrap-token-auth, which is the default of `pilothouse serve`.
"""  # noqa: E501
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_ID = re.compile(r"[a-z0-9]{6}")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_RBAC_GROUP = "rbac.authorization.k8s.io"


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    command = arguments[0] if arguments else ""
    commands = {"create": _create, "list": _list, "delete": _delete}
    if command not in commands:
        raise FlagError(f'unknown command "{command}" for "pilothouse token"', nearest(command, commands))
    known = {"create": FLAGS, "list": (KUBECONFIG, output.FLAG), "delete": (KUBECONFIG, output.FLAG)}
    config, values, rest = options.parse_command(arguments[1:], known[command])
    output.chosen(values["output"])
    path = Path(values["kubeconfig"] or config.data.directory / "admin.kubeconfig")
    if not values["kubeconfig"] and not (config.data.data_dir or config.data.cert_dir):
        path = kubeconfig_of(config.data, "")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: start the server, or say --kubeconfig or --data-dir")
    commands[command](Api(path), config, values, rest)


def _create(api: Api, config: Config, values: dict[str, Any], rest: Sequence[str]) -> None:
    token = _checked(values, rest)
    token_id, _, token_secret = token.partition(".")
    data = {
        "token-id": token_id,
        "token-secret": token_secret,
        **{f"usage-bootstrap-{usage}": "true" for usage in values["usages"]},
    }
    if values["description"]:
        data["description"] = values["description"]
    if values["groups"]:
        data["auth-extra-groups"] = ",".join(values["groups"])
    if values["ttl"]:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=values["ttl"])
        data["expiration"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    server = server_of(values) or _server(api, config.serving)
    if NODES in values["groups"]:
        for collection, obj in _rules():
            api.ensure(collection, obj)
    if "signing" in values["usages"]:
        for collection, obj in _cluster_info(server, api.config.trust.ca):
            api.ensure(collection, obj)
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    metadata = {"name": PREFIX + token_id, "namespace": "kube-system"}
    api.call("POST", _SECRETS, {"metadata": metadata, "type": TYPE, "data": encoded})
    if config.data.write_kubeconfig:
        try:
            put(config.data, kubeconfigs.of_user(server, api.config.trust.ca, token=token, user=TOKEN_USER))
        except OSError:  # nobody has been told the token
            api.call("DELETE", f"{_SECRETS}/{PREFIX}{token_id}")
            raise
    output.tell({"token": token}, values["output"], [token])


def _checked(values: dict[str, Any], rest: Sequence[str]) -> str:
    """The token to create, given or made; FlagError for values that no server would take."""
    if len(rest) > 1:
        raise FlagError('"pilothouse token create" takes one token at most')
    token = rest[0] if rest else f"{_random(6)}.{_random(16)}"
    if not _TOKEN.fullmatch(token):
        raise FlagError(
            f'the bootstrap token "{token}" was not of the form "\\A([a-z0-9]{{6}})\\.([a-z0-9]{{16}})\\z"'
        )
    for usage in values["usages"]:
        if usage not in USAGES:
            raise FlagError(
                f"invalid bootstrap token usage string: {usage}, valid usages are: {', '.join(USAGES)}"
            )
    for group in values["groups"]:
        if not _GROUP.fullmatch(group):
            raise FlagError(f'bootstrap group "{group}" is invalid (must match {_GROUP.pattern})')
    if values["groups"] and "authentication" not in values["usages"]:
        raise FlagError('token groups cannot be specified unless --usages includes "authentication"')
    if values["ttl"] < 0:
        raise FlagError("--ttl can not be a negative value")
    return token


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


def _server(api: Api, serving: ServingOptions) -> str:
    """The server's URL for other hosts:
    the kubeconfig's, or the advertised address where that is the loopback."""
    where = urlsplit(api.config.server)
    try:
        loopback = ipaddress.ip_address(where.hostname or "").is_loopback
    except ValueError:
        loopback = where.hostname == "localhost"
    return url(advertised(serving), where.port or 443) if loopback else api.config.server


def _rules() -> list[tuple[str, Object]]:
    """The permissions of a node that joins by a token:
    it may ask for a certificate, which is approved, then and when it is renewed.

    These are the roles and bindings that `kubeadm init` makes.
    """
    signing = "system:certificates.k8s.io:certificatesigningrequests"
    get_nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
    role = {"metadata": {"name": "kubeadm:get-nodes"}, "rules": [get_nodes]}
    return [
        (f"{_RBAC}/clusterroles", role),
        _binding("kubeadm:get-nodes", "kubeadm:get-nodes", NODES),
        _binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", NODES),
        _binding("kubeadm:node-autoapprove-bootstrap", f"{signing}:nodeclient", NODES),
        _binding(
            "kubeadm:node-autoapprove-certificate-rotation", f"{signing}:selfnodeclient", "system:nodes"
        ),
    ]


def _binding(name: str, role: str, group: str) -> tuple[str, Object]:
    subject = {"kind": "Group", "apiGroup": _RBAC_GROUP, "name": group}
    reference = {"apiGroup": _RBAC_GROUP, "kind": "ClusterRole", "name": role}
    return f"{_RBAC}/clusterrolebindings", {
        "metadata": {"name": name},
        "roleRef": reference,
        "subjects": [subject],
    }


def _cluster_info(server: str, ca: bytes) -> list[tuple[str, Object]]:
    """The config map by which a token's holder finds the server's CA,
    readable by everybody (kubeadm's clusterinfo)."""
    name, place = "kubeadm:bootstrap-signer-clusterinfo", f"{_RBAC}/namespaces/kube-public"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CLUSTER_INFO], "verbs": ["get"]}
    subject = {"kind": "User", "apiGroup": _RBAC_GROUP, "name": "system:anonymous"}
    reference = {"apiGroup": _RBAC_GROUP, "kind": "Role", "name": name}
    data = {"kubeconfig": kubeconfigs.of_cluster(server, ca).decode()}
    return [
        ("/api/v1/namespaces/kube-public/configmaps", {"metadata": {"name": CLUSTER_INFO}, "data": data}),
        (f"{place}/roles", {"metadata": {"name": name}, "rules": [rule]}),
        (f"{place}/rolebindings", {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}),
    ]


def _list(api: Api, config: Config, values: dict[str, Any], rest: Sequence[str]) -> None:
    if rest:
        raise FlagError('"pilothouse token list" does not take any arguments')
    found = api.call("GET", f"{_SECRETS}?fieldSelector=type%3Dbootstrap.kubernetes.io/token")
    rows: list[tuple[str, ...]] = [("ID", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")]
    rows += [_row(secret) for secret in found["items"]]
    output.tell(output.items(rows), values["output"], output.columns(rows, "   "))


def _row(secret: Object) -> tuple[str, ...]:
    end = expires_at(secret)
    left = None if end is None else end - datetime.datetime.now(datetime.UTC).timestamp()
    usages = [usage for usage in USAGES if token_text(secret, f"usage-bootstrap-{usage}") == "true"]
    return (
        token_text(secret, "token-id"),
        "<forever>" if left is None else "<invalid>" if left < 0 else _short(left),
        token_text(secret, "expiration") or "<never>",
        ",".join(usages) or "<none>",
        token_text(secret, "description") or "<none>",
        token_text(secret, "auth-extra-groups") or "<none>",
    )


def _short(seconds: float) -> str:
    """A duration in its largest unit (apimachinery duration.ShortHumanDuration)."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _delete(api: Api, config: Config, values: dict[str, Any], rest: Sequence[str]) -> None:
    if not rest:
        raise FlagError('"pilothouse token delete" needs the ids of tokens')
    for text in rest:
        if not (_ID.fullmatch(text) or _TOKEN.fullmatch(text)):
            raise FlagError(f'given token "{text.partition(".")[0]}" is neither a token nor the id of one')
    with output.Results(values["output"]) as results:
        for text in rest:
            token_id = text.partition(".")[0]
            try:
                api.call("DELETE", f"{_SECRETS}/{PREFIX}{token_id}")
            except ApiError as error:
                raise ApiError(
                    f'failed to delete bootstrap token "{token_id}": {error}', error.status
                ) from None
            results.add(f'bootstrap token "{token_id}" deleted', id=token_id, result="deleted")
