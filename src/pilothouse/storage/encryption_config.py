"""EncryptionConfiguration: read, checked, and read again when the file changes (encryptionconfig)."""

import asyncio
import base64
import binascii
import hashlib
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from pilothouse.storage.background import Background
from pilothouse.storage.encryption import AesCbc, AesGcm, Encryption, Identity, Provider, Rule, SecretBox
from pilothouse.storage.interface import Unavailable

log = logging.getLogger(__name__)

VERSIONS = ("apiserver.config.k8s.io/v1",)
SIZES = {"aesgcm": (16, 24, 32), "aescbc": (16, 24, 32), "secretbox": (32,)}
KINDS: dict[str, Callable[[str, bytes], Provider]] = {
    "aesgcm": AesGcm,
    "aescbc": AesCbc,
    "secretbox": SecretBox,
}
POLL = 10.0
"""Seconds between two looks at the file."""


class EncryptionConfigError(Unavailable):
    """The configuration can not be used; the message has every cause."""


def load(path: str) -> tuple[list[Rule], str]:
    """The rules in a file, and the file's digest; EncryptionConfigError when there is anything wrong."""
    try:
        data = pathlib.Path(path).read_bytes()
        config = yaml.safe_load(data)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise EncryptionConfigError(
            f"error reading encryption provider configuration file {path!r}: {error}"
        ) from error
    problems: list[str] = []
    rules = _rules(config, problems)
    if problems:
        raise EncryptionConfigError(f"encryption provider configuration file {path!r}: {'; '.join(problems)}")
    return rules, hashlib.sha256(data).hexdigest()


def _rules(config: Any, problems: list[str]) -> list[Rule]:
    if not isinstance(config, dict) or config.get("kind") != "EncryptionConfiguration":
        problems.append("kind must be EncryptionConfiguration")
        return []
    if config.get("apiVersion") not in VERSIONS:
        problems.append(f"apiVersion must be {VERSIONS[0]}")
    entries = config.get("resources")
    if not isinstance(entries, list) or not entries:
        problems.append("resources: Required value: at least one resources is required")
        return []
    rules: list[Rule] = []
    for at, entry in enumerate(entries):
        path = f"resources[{at}]"
        entry = entry if isinstance(entry, dict) else {}
        names = tuple(str(name) for name in entry.get("resources") or ())
        problems += [f"{path}.resources{problem}" for problem in _check_names(names)]
        providers: list[Provider] = []
        wanted = entry.get("providers") or []
        if not wanted:
            problems.append(f"{path}.providers: Required value: at least one providers is required")
        for number, provider in enumerate(wanted):
            providers += _provider(provider, f"{path}.providers[{number}]", problems)
        rules.append((tuple(_normal(name) for name in names), providers))
    return rules


def _normal(name: str) -> str:
    return name.removesuffix(".") if name != "*." else name


def _check_names(names: tuple[str, ...]) -> Iterator[str]:
    if not names:
        yield ": Required value: at least one resources is required"
    if len(set(names)) != len(names):
        yield ": Invalid value: the same resource cannot be specified multiple times"
    for at, name in enumerate(names):
        where = f"[{at}]: Invalid value: {name!r}: "
        group = name.partition(".")[2]
        if name != name.lower():
            yield where + "resource name should not contain capital letters"
        elif name == "*":
            yield (
                where
                + "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
            )
        elif name in ("*.events.k8s.io", "events.events.k8s.io"):
            yield where + "'*.events.k8s.io' objects are stored using the 'events' API group in etcd"
        elif any(mask in names and mask != name for mask in ("*.*", f"*.{group}")):
            yield where + "overlapping resources in the same list are not allowed as they will be masked"


def _provider(entry: Any, path: str, problems: list[str]) -> Iterator[Provider]:
    if not isinstance(entry, dict) or len(entry) != 1:
        problems.append(f"{path}: Invalid value: provider must have exactly one of its kinds")
        return
    [(kind, settings)] = entry.items()
    if kind == "identity":
        yield Identity()
        return
    if kind not in KINDS:
        problems.append(
            f"{path}.{kind}: Unsupported value: must be one of identity, {', '.join(sorted(KINDS))}"
        )
        return
    keys = (settings or {}).get("keys") if isinstance(settings or {}, dict) else None
    if not keys:
        problems.append(f"{path}.{kind}.keys: Required value: at least one keys is required")
        return
    names: set[str] = set()
    for at, key in enumerate(keys):
        where = f"{path}.{kind}.keys[{at}]"
        name = str((key or {}).get("name") or "")
        if not name or ":" in name or name in names:
            problems.append(f"{where}.name: Invalid value: {name!r}: must be set, unique, and have no ':'")
            continue
        names.add(name)
        try:
            secret = base64.b64decode(str(key.get("secret") or ""), validate=True)
        except (binascii.Error, ValueError):
            problems.append(f"{where}.secret: Invalid value: secrets must be base64 encoded")
            continue
        if len(secret) not in SIZES[kind]:
            why = f"not of the expected length, got {len(secret)}, expected one of {list(SIZES[kind])}"
            problems.append(f"{where}.secret: Invalid value: secret is {why}")
            continue
        try:
            yield KINDS[kind](name, secret)
        except ImportError:
            problems.append(f"{path}.{kind}: needs the package pynacl: pip install pilothouse[secretbox]")


class Reload(Background):
    """Looks for changes of the file; rules that can not be used leave the old ones in force."""

    def __init__(self, path: str, digest: str, encryption: Encryption, poll: float = POLL) -> None:
        self._path = path
        self._digest = digest
        self._encryption = encryption
        self._poll = poll

    async def _run(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(self._poll)
            try:
                rules, digest = await asyncio.to_thread(load, self._path)
            except EncryptionConfigError as error:
                if str(error) != told:
                    log.error("the old encryption configuration stays in force: %s", error)
                told = str(error)
                continue
            told = ""
            if digest != self._digest:
                self._digest = digest
                self._encryption.use(rules)
                log.info("encryption configuration read again")
