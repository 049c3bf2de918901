"""AdmissionConfiguration: what --admission-control-config-file says to plugins (apiserver admission/config.go)."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.yaml import reader as yaml

VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1")
KIND = "AdmissionConfiguration"

UNVERSIONED = {"ImagePolicyWebhook": "imagePolicy", "PodNodeSelector": "podNodeSelectorPluginConfig"}
"""Plugins of which the file may be the configuration itself, and the member by which it is known."""


class ConfigurationError(ValueError):
    """A configuration that cannot be used; the server does not start with it."""


class AdmissionConfiguration:
    """The configuration of each plugin that has one. Files are read at once, so a start fails that misses one."""

    def __init__(self, sections: dict[str, Object] | None = None) -> None:
        self._sections = sections or {}

    def section(self, plugin: str) -> Object | None:
        """The configuration of a plugin, None when it has none."""
        return self._sections.get(plugin)


def load(path: str) -> AdmissionConfiguration:
    """Read the file, which "" stands for none of; ConfigurationError when it, or one that it names, cannot be used.

    A plugin's `configuration` wins over its `path`, which is relative to the file. Of several entries of a plugin the
    first one counts.
    """
    if not path:
        return AdmissionConfiguration()
    file = Path(path)
    config = _read(file, f"unable to read admission control configuration from {quote(path)}")
    unversioned = {name: config for name, member in UNVERSIONED.items() if member in config}
    if unversioned and "kind" not in config:
        return AdmissionConfiguration(unversioned)
    expect(config, VERSIONS, KIND, ("plugins",))
    sections: dict[str, Object] = {}
    for at, plugin in enumerate(config.get("plugins") or ()):
        refuse_unknown(plugin, ("name", "path", "configuration"), f"plugins[{at}].")
        name = plugin.get("name")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"plugins[{at}].name: Required value")
        if plugin.get("configuration") is not None:
            found = plugin["configuration"]
        elif plugin.get("path"):
            found = _read(
                file.parent / plugin["path"], f"couldn't open admission plugin configuration {plugin['path']}"
            )
        else:
            continue
        if not isinstance(found, dict):
            raise ConfigurationError(f"plugins[{at}].configuration: it must be an object")
        sections.setdefault(name, found)
    return AdmissionConfiguration(sections)


def _read(file: Path, what: str) -> Object:
    try:
        found = yaml.parse(file.read_bytes())
    except (OSError, yaml.YAMLError) as error:
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
