"""Chooses the class of a server by its configuration."""

from pilothouse.assembly.server import Server
from pilothouse.configuration.config import Config


def kind_of(config: Config) -> type[Server]:
    """The class of the server; what logical clusters need is imported where they are on."""
    if not config.clusters.clusters:
        return Server
    if config.store.others_write:
        from pilothouse.clusters.shared.server import SharedClusterServer

        return SharedClusterServer
    from pilothouse.clusters.server import ClusterServer

    return ClusterServer
