"""AdmissionConfiguration: what --admission-control-config-file says to plugins
(apiserver admission/config.go)."""

from collections.abc import Sequence
from pathlib import Path

from pilothouse.api.configfile import ConfigurationError, expect, read, refuse_unknown
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1")
KIND = "AdmissionConfiguration"

UNVERSIONED = {"ImagePolicyWebhook": "imagePolicy", "PodNodeSelector": "podNodeSelectorPluginConfig"}
"""Plugins of which the file may be the configuration itself, and the member by which it is known."""


class AdmissionConfiguration:
    """The configuration of each plugin that has one.
    All files are read at the start, which fails when one is missing.

    files: what was read.
    """

    def __init__(self, sections: dict[str, Object] | None = None, files: Sequence[str] = ()) -> None:
        self._sections = sections or {}
        self.files = tuple(files)

    def kubeconfig(self, plugin: str) -> str:
        """The kubeconfig that a plugin's section names, "" when it names none."""
        section = self._sections.get(plugin) or {}
        policy = section.get("imagePolicy")
        found = (policy if isinstance(policy, dict) else section).get("kubeConfigFile")
        return found if isinstance(found, str) else ""

    def section(self, plugin: str) -> Object | None:
        """The configuration of a plugin, None when it has none."""
        return self._sections.get(plugin)


def load(path: str) -> AdmissionConfiguration:
    """Read the configuration file, "" for none; ConfigurationError when it, or a file that it names,
    cannot be used.

    A plugin's `configuration` wins over its `path`, which is relative to the file. Of several entries of a
    plugin the first one counts.
    """
    if not path:
        return AdmissionConfiguration()
    file = Path(path)
    config = read(file, f"unable to read admission control configuration from {quote(path)}")
    unversioned = {name: config for name, member in UNVERSIONED.items() if member in config}
    if unversioned and "kind" not in config:
        return AdmissionConfiguration(unversioned, (path,))
    expect(config, VERSIONS, KIND, ("plugins",))
    sections: dict[str, Object] = {}
    files = [path]
    plugins = config.get("plugins") or []
    if not isinstance(plugins, list):
        raise ConfigurationError("plugins: it must be a list")
    for at, plugin in enumerate(plugins):
        plugin = refuse_unknown(plugin, ("name", "path", "configuration"), f"plugins[{at}].")
        name = plugin.get("name")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"plugins[{at}].name: Required value")
        if plugin.get("configuration") is not None:
            found = plugin["configuration"]
        elif plugin.get("path"):
            files.append(str(file.parent / plugin["path"]))
            found = read(
                file.parent / plugin["path"], f"couldn't open admission plugin configuration {plugin['path']}"
            )
        else:
            continue
        if not isinstance(found, dict):
            raise ConfigurationError(f"plugins[{at}].configuration: it must be an object")
        sections.setdefault(name, found)
    return AdmissionConfiguration(sections, files)
