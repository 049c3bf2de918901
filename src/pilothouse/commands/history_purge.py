"""`pilothouse history purge`: forgets all changes of an object, or one field in all of them, in the history
file of a data directory."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pilothouse.commands import output
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import FlagError
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.configuration.suggestions import nearest
from pilothouse.history import forgetting
from pilothouse.history.file import FILE, HistoryError, HistoryFile, connect
from pilothouse.history.places import stored
from pilothouse.history.times import timestamp
from pilothouse.registry import encoding
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.resource import Resource
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.encryption.backend import Encryption
from pilothouse.storage.interface import KeyValue, StorageError, Unavailable
from pilothouse.storage.keys import ROOT

KEPT = (
    "SELECT count(*), min(c.time), max(c.time) FROM changes c JOIN objects o ON o.id = c.object"
    " WHERE o.key = ?"
)


NOTHING = "Nothing has been forgotten: repeat the command with --yes."
LAST_MINUTES = "The store holds the last minutes: see docs/history.md."


class _Kept(NamedTuple):
    """How many changes of a key there are, and the times of the first and the last in milliseconds."""

    key: str
    changes: int
    first: int
    last: int


def run(config: Config, values: Mapping[str, Any], words: Sequence[str]) -> None:
    """Forget them with --yes, else say what would be forgotten; raises FlagError, ValueError."""
    path, field = config.data.directory / FILE, values["field"]
    fields = (forgetting.field_of(field), forgetting.COPY) if field else ()
    keys = list(_keys(words, values["namespace"] or "default"))
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    try:
        with contextlib.closing(connect(path, read_only=True)) as db:
            kept = [_Kept(key, *db.execute(KEPT, (key,)).fetchone()) for key in keys]
        kept = [one for one in kept if one.changes]
        if not kept:
            raise ValueError(f"{path} has no change of {' or '.join(keys)}")
        plain = values["output"] not in output.DOCUMENTS
        if plain:
            print("\n".join(_line(one) for one in kept))
        dry = not values["yes"]
        count = _purge(config, [one.key for one in kept], fields, dry=dry) if fields or not dry else 0
    except (sqlite3.Error, HistoryError, Unavailable) as error:
        raise ValueError(str(error)) from None
    if not plain:
        found = [
            {
                "key": one.key,
                "changes": one.changes,
                "first": timestamp(one.first),
                "last": timestamp(one.last),
            }
            for one in kept
        ]
        told = {"items": found, "dryRun": dry, **({"field": field, "changes": count} if fields else {})}
        print(output.document(told, values["output"]))
    elif not fields:
        print(NOTHING if dry else f"{count} {_changes(count)} forgotten. {LAST_MINUTES}")
    elif dry:
        print(f"{count} {_changes(count)} with a value of {field}. {NOTHING}")
    else:
        print(f"{field} forgotten in {count} {_changes(count)}. {LAST_MINUTES}")


def _line(one: _Kept) -> str:
    times = f"from {timestamp(one.first)} to {timestamp(one.last)}"
    return f"{one.key}: {one.changes} {_changes(one.changes)}, {times}"


def _purge(config: Config, keys: Sequence[str], fields: Sequence[forgetting.Field], *, dry: bool) -> int:
    """Forget all changes of some keys, or some fields in them; how many changes that concerns."""
    ciphers = _ciphers(config.store) if fields else None
    seals = (ciphers.encrypt, ciphers.decrypt) if ciphers is not None else (None, None)
    file = HistoryFile(config.data.directory, *seals)
    file.open()
    try:
        return asyncio.run(_forget(file, ciphers, keys, fields, dry=dry)) if fields else file.purge(keys)
    finally:
        file.close()


def _ciphers(options: StoreOptions) -> Encryption | None:
    """The providers that encrypt changes, None without --encryption-provider-config.
    Unavailable: it cannot be used."""
    path = options.encryption_provider_config
    if not path:
        return None
    resource_of = encoding.resources_by_key(Catalog(built_in()))
    return Encryption(encryption_config.load(path), resource_of, "/" + options.etcd_prefix.strip("/"))


async def _forget(
    file: HistoryFile,
    ciphers: Encryption | None,
    keys: Sequence[str],
    fields: Sequence[forgetting.Field],
    *,
    dry: bool,
) -> int:
    """Forget some fields in all changes of some keys; in how many they were. ValueError when a change cannot
    be decrypted."""
    count = 0
    try:
        if ciphers is not None:
            await ciphers.open()
        for key in keys:
            if ciphers is not None and ciphers.remotes:
                for values in file.values(key):
                    await ciphers.prepare([KeyValue(key, value, 1) for value in values])
            try:
                count += file.rewrite(
                    key, lambda kind, value: forgetting.without(kind, value, fields), dry=dry
                )
            except (ValueError, StorageError) as error:
                told = "no key of --encryption-provider-config decrypts its changes, or they are damaged"
                if ciphers is None:
                    told = "its changes are encrypted, which needs --encryption-provider-config, or damaged"
                raise ValueError(f"{key}: {told}; without --field all are forgotten: {error}") from None
    finally:
        if ciphers is not None:
            await ciphers.close()
    return count


def _changes(count: int) -> str:
    return "change" if count == 1 else "changes"


def _keys(words: Sequence[str], namespace: str) -> Iterator[str]:
    """The keys that an object may have. Whether a custom resource has a namespace is not known here."""
    word, _, name = "/".join(words).partition("/")
    if not word or not name or "/" in name:
        raise FlagError(f'"pilothouse history purge" takes KIND/NAME, got {list(words)}')
    known = stored(Catalog(built_in()))
    found = next((one for one in known if word.lower() in _names(one)), None)
    if found is not None:
        yield found.key(namespace if found.namespaced else "", name)
        return
    plural, _, group = word.lower().partition(".")
    if not group:
        raise FlagError(
            f'there is no built-in resource "{word}"; a custom one is called as in widgets.example.com',
            nearest(word, {one.plural for one in known}),
        )
    yield f"{ROOT}{group}/{plural}/{namespace}/{name}"
    yield f"{ROOT}{group}/{plural}/{name}"


def _names(resource: Resource) -> set[str]:
    names = {resource.plural, resource.singular, resource.kind.lower(), *resource.short_names}
    return {*names, resource.group_resource, *(f"{name}.{resource.group}" for name in names)}
