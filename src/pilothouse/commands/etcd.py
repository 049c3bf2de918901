"""`pilothouse etcd`: looks after the members of an etcd cluster."""

from collections.abc import Sequence

from pilothouse.commands import output
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.suggestions import nearest

FLAGS: tuple[Flag, ...] = (output.FLAG,)
SERVER_FLAGS = ("etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile")
USAGE = """Look after the etcd that the server stores its objects in. Needs the extra `etcd`.

Usage:
  pilothouse etcd status --etcd-servers URL,...        Each member: version, size of its database, revision, who leads.
  pilothouse etcd members --etcd-servers URL,...       The members as the cluster knows them.
  pilothouse etcd alarms --etcd-servers URL,...        Alarms that are raised, such as NOSPACE.
  pilothouse etcd compact --etcd-servers URL,...       Drop the history before the current revision.
  pilothouse etcd defragment --etcd-servers URL,...    Give the space of dropped history back, member by member.
  pilothouse etcd disarm --etcd-servers URL,...        Lift the alarms.

All take -o json|yaml. The exit status is 1 when a command fails, and when `status` finds a member that does not answer or has errors.
"""  # noqa: E501


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands and print its output; raises FlagError, ConfigError, OSError."""
    config, own, rest = options.parse_command(arguments, FLAGS)
    form = output.chosen(own["output"])
    if not config.store.etcd_servers:
        raise FlagError("--etcd-servers must be specified")
    try:
        from pilothouse.storage.etcd import admin
    except ImportError as error:
        raise ValueError(f"needs the package etcd3-py: pip install 'pilothouse[etcd]' ({error})") from None
    command = rest[0] if rest else ""
    if command not in admin.COMMANDS:
        raise FlagError(
            f'unknown command "{command}" for "pilothouse etcd"', nearest(command, admin.COMMANDS)
        )
    if len(rest) > 1:
        raise FlagError(f'"pilothouse etcd {command}" does not take any arguments, got {list(rest[1:])}')
    files = config.store.etcd_cafile, config.store.etcd_certfile, config.store.etcd_keyfile
    with shown(command):
        rows = admin.run(command, config.store.etcd_servers, *files)
    output.tell(output.items(rows), form, [admin.table(rows)])
    unwell = [row[0] for row in rows[1:] if row[-1]] if command == "status" else []  # the last column: errors
    if unwell:
        raise OSError(f"{len(unwell)} of {len(rows) - 1} members do not answer or have errors")
