"""Reads and validates the EncryptionConfiguration,
and reloads it when the file changes (encryptionconfig)."""

import base64
import binascii
import pathlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import yaml

from pilothouse.api.values.fields import OMIT, Errors
from pilothouse.configuration.flags import duration, show_duration
from pilothouse.gotext import quote
from pilothouse.reload import Files
from pilothouse.storage.encryption.backend import (
    AesCbc,
    AesGcm,
    Encryption,
    EncryptionProvider,
    PlainText,
    Remote,
    Rule,
    SecretBox,
)
from pilothouse.storage.encryption.kms.provider import KMS, KMSSettings
from pilothouse.storage.interface import Unavailable

VERSION = "apiserver.config.k8s.io/v1"
SIZES = {"aesgcm": (16, 24, 32), "aescbc": (16, 24, 32), "secretbox": (32,)}
KINDS: dict[str, Callable[[str, bytes], EncryptionProvider]] = {
    "aesgcm": AesGcm,
    "aescbc": AesCbc,
    "secretbox": SecretBox,
}
NOT_STORED = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")
TIMEOUT = 3.0

Make = Callable[[KMSSettings], Remote]
"""Makes the provider of a KMS plugin; nothing is opened yet."""


class EncryptionConfigError(Unavailable):
    """The configuration cannot be used; the message lists every cause."""


def load(path: str, make: Make = KMS) -> list[Rule]:
    """The rules in a file; EncryptionConfigError when there is anything wrong."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise EncryptionConfigError(
            f"error reading encryption provider configuration file {quote(path)}: {error}"
        ) from error
    return parse(data, path, make)


def parse(data: bytes, path: str, make: Make = KMS) -> list[Rule]:
    """Parse the content of a configuration file."""
    try:
        config = yaml.safe_load(data)
    except yaml.YAMLError as error:  # whose text shows the line, which may hold a key
        mark, why = getattr(error, "problem_mark", None), getattr(error, "problem", "no YAML")
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise EncryptionConfigError(
            f"error decoding encryption provider configuration file {quote(path)}{where}: {why}"
        ) from None
    except ValueError as error:
        raise EncryptionConfigError(
            f"error reading encryption provider configuration file {quote(path)}: {error}"
        ) from error
    errs = Errors()
    rules = _Reader(errs, make).rules(config)
    if errs:
        causes = [f"{cause['field']}: {cause['message']}" for cause in errs.causes]
        raise EncryptionConfigError(
            f"encryption provider configuration file {quote(path)}: {'; '.join(causes)}"
        )
    return rules


class _Reader:
    """Adds to `errs` what is wrong, in upstream's words
    (apis/apiserver/validation/validation_encryption.go)."""

    def __init__(self, errs: Errors, make: Make) -> None:
        self.errs = errs
        self.make = make
        self.plugins: set[str] = set()
        self.found: dict[str, list[EncryptionProvider]] = {}

    def rules(self, config: Any) -> list[Rule]:
        config = _dict(config)
        if config.get("kind") != "EncryptionConfiguration":
            self.errs.invalid("kind", _text(config.get("kind")), "must be EncryptionConfiguration")
        if config.get("apiVersion") != VERSION:
            self.errs.invalid("apiVersion", _text(config.get("apiVersion")), f"must be {VERSION}")
        entries = _list(config.get("resources"))
        if not entries:
            self.errs.required("resources", "at least one resources is required")
            return []
        for at, entry in enumerate(entries):
            self._entry(f"resources[{at}]", _dict(entry))
        return [((name,), providers) for name, providers in self.found.items()]

    def _entry(self, path: str, entry: dict[str, Any]) -> None:
        names = [_text(name) for name in _list(entry.get("resources"))]
        if not names:
            what = f"{path}.resources"
            self.errs.required(what, f"at least one {what} is required")
        self._overlap(f"{path}.resources", names)
        for at, name in enumerate(names):
            if why := _resource_problem(name):
                self.errs.invalid(f"{path}.resources[{at}]", name, why)
        wanted = _list(entry.get("providers"))
        if not wanted:
            what = f"{path}.providers"
            self.errs.required(what, f"at least one {what} is required")
        providers: list[EncryptionProvider] = []
        for at, provider in enumerate(wanted):
            providers += self._providers(f"{path}.providers[{at}]", provider)
        for at, name in enumerate(names):
            plural, _, group = name.partition(".")
            for mask in (f"*.{group}", "*.*"):
                if mask in self.found:
                    why = f"resource {quote(name)} is masked by earlier rule {quote(mask)}"
                    self.errs.invalid(f"{path}.resources[{at}]", name, why)
                    break
            else:
                self.found.setdefault(f"{plural}.{group}", []).extend(providers)

    def _overlap(self, path: str, names: list[str]) -> None:
        known = [tuple(name.partition(".")[::2]) for name in names]
        if len(set(known)) < len(known):
            self.errs.invalid(path, names, "the same resource cannot be specified multiple times")
        groups = [group for _, group in known]
        if len(known) > 1 and any(
            (plural, group) == ("*", "*") or (plural == "*" and groups.count(group) > 1)
            for plural, group in set(known)
        ):
            self.errs.invalid(
                path,
                names,
                "using overlapping resources such as 'secrets' and '*.' in the same resource list is not"
                " allowed as they will be masked",
            )

    def _providers(self, path: str, entry: Any) -> list[EncryptionProvider]:
        entry = _dict(entry)
        if not entry.keys() & {"identity", "kms", *KINDS}:
            self.errs.invalid(
                path,
                [_text(kind) for kind in entry],
                "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox,"
                " Identity",
            )
            return []
        if len(entry) > 1:
            self.errs.invalid(
                path,
                [_text(kind) for kind in entry],
                "more than one provider specified in a single element, should split into different list"
                " elements",
            )
            return []
        [(kind, settings)] = entry.items()
        if kind == "identity":
            return [PlainText()]
        settings = _dict(settings)
        path = f"{path}.{kind}"
        return self._plugin(path, settings) if kind == "kms" else self._keys(path, kind, settings)

    def _keys(self, path: str, kind: str, settings: dict[str, Any]) -> list[EncryptionProvider]:
        keys = [_dict(key) for key in _list(settings.get("keys"))]
        if not keys:
            self.errs.required(f"{path}.keys", "at least one keys is required")
            return []
        out: list[EncryptionProvider] = []
        for at, key in enumerate(keys):
            where = f"{path}.keys[{at}]"
            name, text = _text(key.get("name")), _text(key.get("secret"))
            if not name:
                self.errs.required(f"{where}.name", "name is a mandatory field for a key")
            if not text:
                self.errs.required(f"{where}.secret", "secret is a mandatory field for a key")
                continue
            try:
                secret = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                self.errs.invalid(f"{where}.secret", "REDACTED", "secrets must be base64 encoded")
                continue
            if len(secret) not in SIZES[kind]:
                sizes = " ".join(map(str, SIZES[kind]))
                why = f"secret is not of the expected length, got {len(secret)}, expected one of [{sizes}]"
                self.errs.invalid(f"{where}.secret", "REDACTED", why)
                continue
            try:
                out.append(KINDS[kind](name, secret))
            except ImportError:
                why = "needs the package pynacl: pip install pilothouse[secretbox]"
                self.errs.invalid(path, kind, why)
        return out

    def _plugin(self, path: str, settings: dict[str, Any]) -> list[EncryptionProvider]:
        before = len(self.errs)
        version = _text(settings.get("apiVersion")) or "v1"
        for member in settings:
            if member not in ("apiVersion", "name", "endpoint", "timeout", "cachesize"):
                self.errs.invalid(f"{path}.{member}", OMIT, "unknown field")
        name = self._plugin_name(f"{path}.name", _text(settings.get("name")), version)
        timeout = self._timeout(f"{path}.timeout", settings.get("timeout"))
        endpoint = self._endpoint(f"{path}.endpoint", _text(settings.get("endpoint")))
        size = settings.get("cachesize")
        if version != "v1" and size is not None:
            why = "cachesize is not supported in v2"
            self.errs.invalid(f"{path}.cachesize", size if isinstance(size, int) else _text(size), why)
        if version == "v1":
            why = "KMSv1 is deprecated and not served here, use KMSv2 instead (apiVersion: v2)"
            self.errs.invalid(f"{path}.apiVersion", version, why)
        elif version != "v2":
            why = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported"
            self.errs.invalid(f"{path}.apiVersion", version, why)
        if find_spec("grpc") is None:
            self.errs.invalid(path, "kms", "needs the package grpcio: pip install pilothouse[kms]")
        return [] if len(self.errs) > before else [self.make(KMSSettings(name, endpoint, timeout))]

    def _plugin_name(self, path: str, name: str, version: str) -> str:
        if not name:
            self.errs.required(path, "name is a mandatory field for a provider")
        if version != "v1" and ":" in name:
            self.errs.invalid(path, name, f"invalid KMS provider name {name}, must not contain ':'")
        if version != "v1" and name in self.plugins:
            self.errs.invalid(path, name, f"duplicate KMS provider name {name}, names must be unique")
        self.plugins.add(name)
        return name

    def _timeout(self, path: str, text: Any) -> float:
        if text is None:
            return TIMEOUT
        try:
            seconds = duration(_text(text))
        except ValueError as error:
            self.errs.invalid(path, _text(text), str(error))
            return TIMEOUT
        if seconds <= 0:
            self.errs.invalid(path, show_duration(seconds), "timeout should be a positive value")
        return seconds

    def _endpoint(self, path: str, endpoint: str) -> str:
        if not endpoint:
            self.errs.invalid(path, "", "endpoint is a mandatory field for a kms")
            return endpoint
        try:
            scheme = urlsplit(endpoint).scheme
        except ValueError as error:
            self.errs.invalid(path, endpoint, f"invalid endpoint for kms provider, error: {error}")
            return endpoint
        if scheme != "unix":
            why = f"unsupported scheme {quote(scheme)} for KMS provider, only unix is supported"
            self.errs.invalid(path, endpoint, why)
        return endpoint


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _resource_problem(name: str) -> str:
    plural, _, group = name.partition(".")
    if name != name.lower():
        return "resource name should not contain capital letters"
    if name == "*":
        return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
    if name in NOT_STORED:
        return "resources which do not have REST API/s cannot be encrypted"
    if group == "events.k8s.io":
        return (
            "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. "
            "Use 'events' instead in the config file"
        )
    if group == "extensions":
        return "'extensions' group has been removed and cannot be used for encryption"
    if group == "*" and plural != "*":
        return "encrypting the same resource across groups is not supported"
    return ""


class EncryptionReload:
    """Puts other rules in force once the plugins that they name answer;
    those that stay keep their connections."""

    def __init__(self, path: str, encryption: Encryption, make: Make = KMS) -> None:
        self._path = path
        self._encryption = encryption
        self._make = make

    def read(self, files: Files) -> list[Rule]:
        """The rules of the file; EncryptionConfigError when they cannot be used."""
        return parse(files[self._path], self._path, self._provider)

    async def use(self, rules: list[Rule]) -> None:
        """Put rules in force; Unavailable when a plugin does not answer."""
        await self._encryption.replace(rules)

    def _provider(self, settings: KMSSettings) -> Remote:
        """The provider of a KMS plugin: the present one when its settings are the same, else a new one."""
        for remote in self._encryption.remotes:
            if isinstance(remote, KMS) and remote.settings == settings:
                return remote
        return self._make(settings)
