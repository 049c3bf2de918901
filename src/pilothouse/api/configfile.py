"""Reads the configuration files that flags name: YAML or JSON, in which nothing may be misspelt."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.yaml import text as yaml
from pilothouse.gotext import quote


class ConfigurationError(ValueError):
    """A configuration that cannot be used; the server does not start with it."""


def read(file: Path, what: str) -> Object:
    """The object in a file; ConfigurationError begins with `what`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{what} [{error}]") from None
    return parse(data, what)


def parse(data: bytes, what: str) -> Object:
    """The object that the bytes of a file are; ConfigurationError begins with `what`."""
    try:
        found = yaml.parse(data)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{what} [{error}]") from None
    if problem := found.strict_error():
        raise ConfigurationError(f"{what} [{problem}]")
    if not isinstance(found.value, dict):
        raise ConfigurationError(f"{what} [it must be an object]")
    return found.value


def expect(config: Object, versions: Collection[str], kind: str, members: Iterable[str]) -> None:
    """Refuse a configuration of another kind or version, or with members that there are not."""
    if config.get("kind") != kind or config.get("apiVersion") not in versions:
        raise ConfigurationError(
            f"no kind {quote(str(config.get('kind', '')))} is registered for version "
            f"{quote(str(config.get('apiVersion', '')))}: want {kind} of {' or '.join(versions)}"
        )
    refuse_unknown(config, ("kind", "apiVersion", *members))


def refuse_unknown(value: Any, members: Iterable[str], path: str = "") -> Object:
    """An object that has no other members than those named."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path.rstrip('.')}: it must be an object")
    unknown = [f"unknown field {quote(path + name)}" for name in value if name not in set(members)]
    if unknown:
        raise ConfigurationError(f"strict decoding error: {', '.join(unknown)}")
    return value


def refuse(errs: Errors) -> None:
    """Raise what a validation has found."""
    texts = [f"{cause['field']}: {cause['message']}" for cause in errs.causes]
    if texts:
        raise ConfigurationError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
