"""`pilothouse kubeconfig`: credentials out of the data directory, without a server that runs."""

import json
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence

import yaml

from pilothouse import pki
from pilothouse.api.yaml import kubeconfigs
from pilothouse.commands import output
from pilothouse.configuration import options
from pilothouse.configuration.addresses import reachable, url
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.last_port import last_port
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.files import write_file

SERVER = Flag(
    "server",
    "string",
    "",
    "command",
    "URL of the server in the kubeconfig. Default: by its flags --bind-address, --advertise-address and"
    " --secure-port.",
)
FLAGS = (
    output.FILE_FLAG,
    Flag("user", "string", "", "command", "Issue a client certificate for this user."),
    Flag("group", "strings", (), "command", "Groups of that user; repeatable."),
    Flag("duration", "duration", pki.LEAF_DAYS * 86400.0, "command", "How long the certificate is good."),
    Flag("token", "string", "", "command", "Put this token into the kubeconfig in place of a certificate."),
    SERVER,
    Flag(
        "create",
        "bool",
        False,
        "command",
        "Make the CA and the keys in a data directory that has none yet, for servers that start later.",
    ),
)
SERVER_FLAGS = (
    "data-dir",
    "cert-dir",
    "bind-address",
    "advertise-address",
    "secure-port",
    "write-kubeconfig",
)
USAGE = """Print the administrator's kubeconfig, or one for another user.

Usage:
  pilothouse kubeconfig [flags]                                                   -o json: as JSON, which kubectl reads as well.
  pilothouse kubeconfig --user NAME [--group GROUP]... [--duration 24h] [flags]   Issue a client certificate for a user.
  pilothouse kubeconfig --token TOKEN [flags]                                     Put a token into it.
  pilothouse kubeconfig --create --data-dir DIR [flags]                           Make the CA and the keys of a new server.

The server need not run. A data directory without a CA is an error, unless --create is given. Without --server, --advertise-address and --secure-port, the kubeconfig leads to where the server
of the data directory was last reached.
"""  # noqa: E501
TOKEN_USER = "tls-bootstrap-token-user"
"""How a kubeconfig with a token calls its user, as kubeadm does."""


def run(arguments: Sequence[str]) -> None:
    """Print a kubeconfig, or write it to --write-kubeconfig; raises FlagError, ConfigError, OSError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse kubeconfig" does not take any arguments, got {rest}')
    form = output.chosen(str(values["output"]), output.DOCUMENTS)
    put(config.data, _content(config, values), form)


def _content(config: Config, values: dict[str, object]) -> bytes:
    user, token = str(values["user"]), str(values["token"])
    groups, seconds = values["group"], values["duration"]
    assert isinstance(groups, tuple) and isinstance(seconds, float)
    if user and token:
        raise FlagError("--user and --token exclude each other")
    if groups and not user:
        raise FlagError("--group needs --user")
    named = server_of(values)
    if seconds <= 0:
        raise FlagError("--duration must be longer than 0")
    if not values["create"]:
        pki.check_authority(config.data)
    files = pki.prepare(config, keep_authorities=True, serving=False)
    port = config.serving.secure_port if "secure-port" in config.given else last_port(config)
    if not user and not token and not named:
        return pki.admin_kubeconfig(config.serving, files, port)
    server = named or url(reachable(config.serving), port)
    ca = pathlib.Path(files.ca_cert).read_bytes()
    if token:
        return kubeconfigs.of_user(server, ca, token=token, user=TOKEN_USER)
    if user:
        return pki.issued_kubeconfig(files, server, user, groups, seconds)
    return pki.admin_kubeconfig(config.serving, files, server=server)


def server_of(values: Mapping[str, object]) -> str:
    """The URL of --server, "" when it is not given; FlagError for what is none."""
    found = str(values["server"])
    if found and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", found):
        raise FlagError(f"--server takes a URL such as https://192.0.2.1:6443, got {found!r}")
    return found


def put(data: DataOptions, text: bytes, form: str = "yaml") -> None:
    """Write a kubeconfig to a file that only its owner can read, as a whole or not at all;
    without --write-kubeconfig print it."""
    if form == "json":
        text = json.dumps(yaml.safe_load(text), indent=2).encode() + b"\n"
    if data.write_kubeconfig:
        write_file(pathlib.Path(data.write_kubeconfig), text)
    else:
        os.write(sys.stdout.fileno(), text)
