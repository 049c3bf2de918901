"""`pilothouse store stat | check | compact`: looks after the embedded store."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence

from pilothouse.commands import output
from pilothouse.commands.progress import shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.configuration.suggestions import nearest
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.sqlite import check
from pilothouse.storage.sqlite.file import HEADS, DataDirectory
from pilothouse.storage.sqlite.snapshot import summary

FLAGS: tuple[Flag, ...] = (output.FLAG,)
SERVER_FLAGS = ("data-dir",)
USAGE = """Look after the embedded store. A server may run meanwhile, except with compact.

Usage:
  pilothouse store stat [--data-dir DIR]       Revision, size, and which resources take how much.
  pilothouse store check [--data-dir DIR]      Read everything once, and tell what is damaged.
  pilothouse store compact [--data-dir DIR]    Give free pages back to the file system. A server does this by itself over time.

All take -o json|yaml. `pilothouse etcd` looks after etcd.
"""  # noqa: E501
SHOWN = 20
"""Rows of a table, and problems, at most."""


def run(arguments: Sequence[str]) -> None:
    """Run one of the commands; raises FlagError, ConfigError, OSError, ValueError."""
    command = arguments[0] if arguments else ""
    commands = {"stat": _stat, "check": _check, "compact": _compact}
    if command not in commands:
        raise FlagError(f'unknown command "{command}" for "pilothouse store"', nearest(command, commands))
    config, own, rest = options.parse_command(arguments[1:], FLAGS)
    if rest:
        raise FlagError(f'"pilothouse store {command}" does not take any arguments, got {list(rest)}')
    form = output.chosen(own["output"])
    try:
        commands[command](_there(config.data), form)
    except sqlite3.Error as error:
        raise ValueError(f"{DataDirectory(config.data.directory).file}: {error}") from None
    except Unavailable as error:
        raise ValueError(str(error)) from None


def _there(options: DataOptions) -> DataDirectory:
    data = DataDirectory(options.directory)
    if not data.file.exists():
        raise Unavailable(f"{data.file} does not exist")
    return data


def _stat(data: DataDirectory, form: str) -> None:
    with contextlib.closing(data.connect()) as db, shown("reading"):
        found = summary(db, data.size())
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        (page,) = db.execute("PRAGMA page_size").fetchone()
        keys, sizes = Counter[str](), Counter[str]()
        query = f"SELECT n.key, length(h.value) FROM ({HEADS}) n JOIN history h ON h.id = n.id"
        for key, size in db.execute(query):
            keys[_resource(key)] += 1
            sizes[_resource(key)] += size
    most = sizes.most_common(SHOWN)
    lines = [
        f"revision {found.revision}, compacted to {found.compacted}, {found.keys} keys in {found.rows} rows"
        " of history",
        f"{data.size()} bytes on disk, {free * page} of them free\n",
        f"{'RESOURCE':50} {'KEYS':>9} {'BYTES':>13}",
        *(f"{name:50} {keys[name]:>9} {size:>13}" for name, size in most),
    ]
    told = {
        "revision": found.revision,
        "compacted": found.compacted,
        "keys": found.keys,
        "rows": found.rows,
        "bytes": data.size(),
        "freeBytes": free * page,
        "resources": [
            {"name": name, "keys": keys[name], "bytes": size} for name, size in sizes.most_common()
        ],
    }
    output.tell(told, form, lines)


def _resource(key: str) -> str:
    """The part of a key before the namespace and name: `/registry/pods`, `/registry/example.com/widgets`."""
    parts = key.split("/")
    return "/".join(parts[: 4 if len(parts) > 3 and "." in parts[2] else 3])


def _check(data: DataDirectory, form: str) -> None:
    with contextlib.closing(data.connect()) as db, shown("checking") as progress:
        db.execute("BEGIN")  # one state of the store, also while a server writes
        found = []
        for problem in check.problems(db, progress):
            found.append(problem)
            if len(found) == SHOWN:
                break
        if found:
            raise ValueError("\n".join((f"{data.file} is damaged:", *(f"  {said}" for said in found))))
        whole = summary(db, 0)
        sound = [f"sound: {whole.rows} rows, {whole.keys} keys"]
        output.tell({"rows": whole.rows, "keys": whole.keys}, form, sound)


def _compact(data: DataDirectory, form: str) -> None:
    before = data.size()
    data.lock()
    try:
        with contextlib.closing(data.connect()) as db, shown("compacting"):
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        data.unlock()
    after = data.size()
    output.tell({"bytesBefore": before, "bytes": after}, form, [f"{before} bytes before, {after} after"])
