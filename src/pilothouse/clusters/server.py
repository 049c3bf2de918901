"""A server with logical clusters beside its own one (`--clusters`)."""

from dataclasses import replace

from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.controllers import SERVER, Writers
from pilothouse.assembly.host import Host
from pilothouse.assembly.server import Running, Server
from pilothouse.clusters.controller import ClusterController
from pilothouse.clusters.directory import Directory
from pilothouse.clusters.fresh import digest_of
from pilothouse.clusters.janitor import Janitor
from pilothouse.clusters.metrics import ClusterMetrics
from pilothouse.clusters.records import FOLDER
from pilothouse.clusters.router import Router
from pilothouse.configuration.addresses import reachable, url
from pilothouse.controllers.bootstrap import BootstrapObject
from pilothouse.lifecycle import Background, Opened
from pilothouse.server.listener import Listener
from pilothouse.server.request import RequestHandler
from pilothouse.storage.backends import upkeep
from pilothouse.storage.interface import Storage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.backend import SqliteStorage


class ClusterServer(Server):
    """A server whose connections lead to the logical clusters, too."""

    directory: Directory
    """The logical clusters, once the server's own one is open."""
    _controller: ClusterController

    async def open_cluster(self, host: Host, opened: Opened) -> Cluster:
        cluster = await super().open_cluster(host, opened)
        self.directory = await self.open_directory(host, cluster, opened)
        opened.on_close("logical clusters", self.directory.close)
        if host.memory is not None:
            host.memory.relievers.append(self.directory.relieve)
        return cluster

    async def open_directory(self, host: Host, cluster: Cluster, opened: Opened) -> Directory:
        """The logical clusters; their journal is not started."""
        state, host.state = host.state, None  # guests do not have it
        return Directory(host, self.journal(host), host.config.clusters.clusters_awake_max, state)

    def handler(self, cluster: Cluster) -> RequestHandler:
        return Router(cluster.pipeline, self.directory, cluster.host.config.clusters.clusters_domain)

    def end_watches(self, cluster: Cluster) -> None:
        super().end_watches(cluster)
        for one in self.directory.open.values():
            super().end_watches(one.cluster)

    def journal(self, host: Host) -> Storage:
        """The store of all logical clusters, not started. History is kept of the server's own cluster alone,
        and memory taken for the keys of clusters that are in memory."""
        if host.config.store.backend == "memory":
            return MemoryStorage()
        return SqliteStorage(host.config.data.directory / FOLDER, keys_in_memory=False)

    def bind(self, cluster: Cluster, opened: Opened) -> Listener:
        listener = super().bind(cluster, opened)
        serving = cluster.host.config.serving
        self.directory.reached_at(url(reachable(serving), listener.port), listener.port)
        return listener

    async def fill(
        self, running: Running, writers: Writers, planned: list[BootstrapObject], opened: Opened
    ) -> None:
        await super().fill(running, writers, planned, opened)
        host, directory = running.host, self.directory
        await directory.start(digest_of(planned))
        host.metrics.add(ClusterMetrics(directory))
        for one in self.upkeep_of_journal(host):
            opened.start(one)

    def upkeep_of_journal(self, host: Host) -> list[Background]:
        """The background work beside the journal."""
        options = replace(host.config.store, storage_backend=host.config.store.backend)
        return upkeep(self.directory.journal, options, host.health)

    def start_controllers(
        self, running: Running, writers: Writers, planned: list[BootstrapObject], opened: Opened
    ) -> None:
        super().start_controllers(running, writers, planned, opened)
        options = running.host.config.clusters
        self._controller = ClusterController(
            writers.client(SERVER), self.directory, running.host.files, options.clusters_profiles
        )
        opened.start(self._controller)
        opened.start(Janitor(self.directory, options.clusters_idle_timeout))
        for plugin in self._controller.plugins(options, running.cluster.access.authorizer):
            running.cluster.admission.add(plugin)

    async def listen(self, running: Running, opened: Opened) -> None:
        await self._controller.synced()
        await super().listen(running, opened)
