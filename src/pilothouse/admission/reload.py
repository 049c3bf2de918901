"""Puts another admission configuration in force when a file of it has changed:
for all plugins, or for none."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pilothouse.admission.chain import Chain
from pilothouse.admission.configuration import AdmissionConfiguration, load
from pilothouse.outbound.kubeconfig import files_of
from pilothouse.reload import Files


class Prepared(NamedTuple):
    """A configuration that the plugins have accepted, and what puts it in force in each."""

    configuration: AdmissionConfiguration
    steps: list[Callable[[], None]]


class AdmissionReload:
    """Gives the plugins of a chain what the files now say. `configuration` is what is in force."""

    def __init__(self, path: str, configuration: AdmissionConfiguration, chain: Chain) -> None:
        self._path = path
        self._configuration = configuration
        self._chain = chain

    def paths(self) -> Iterable[str]:
        """The file of the flag, those of plugins that it names, and kubeconfigs with what they name."""
        yield from self._configuration.files
        for plugin in self._chain.plugins:
            if path := self._configuration.kubeconfig(plugin.name):
                yield from files_of(path)

    def read(self, files: Files) -> Prepared:
        """Read all files, and have every plugin check what they now say to it; ConfigurationError."""
        found, former = load(self._path), self._configuration
        steps = [
            plugin.prepare(found.section(name))
            for plugin in self._chain.plugins
            if found.section(name := plugin.name) != former.section(name) or found.kubeconfig(name)
        ]
        return Prepared(found, steps)

    def use(self, prepared: Prepared) -> None:
        """Put the configuration in force."""
        for step in prepared.steps:
            step()
        self._configuration = prepared.configuration
