"""A server that divides its logical clusters with others (`--clusters` with `--etcd-servers`)."""

import asyncio

from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.controllers import Writers
from pilothouse.assembly.host import Host
from pilothouse.assembly.server import Running
from pilothouse.assembly.storage import etcd_routes
from pilothouse.clusters.server import ClusterServer
from pilothouse.clusters.shared.directory import SharedDirectory
from pilothouse.clusters.shared.forwarder import Forwarder
from pilothouse.clusters.shared.leadership import Leadership
from pilothouse.clusters.shared.peers import PeerServers
from pilothouse.clusters.shared.router import SharedRouter
from pilothouse.configuration.addresses import advertised
from pilothouse.controllers.bootstrap import BootstrapObject, peer_address
from pilothouse.lifecycle import Background, Opened
from pilothouse.server.listener import Listener
from pilothouse.server.request import RequestHandler
from pilothouse.storage.etcd.rpc import TLS
from pilothouse.storage.etcd.shared import SharedEtcdStorage

SUFFIX = "-clusters"
"""Follows --etcd-prefix in the keys of the store of all logical clusters."""


class SharedClusterServer(ClusterServer):
    """One of several servers. Each has those clusters in memory that it has claimed."""

    directory: SharedDirectory
    _peers: PeerServers
    _forwarder: Forwarder

    async def open_cluster(self, host: Host, opened: Opened) -> Cluster:
        outbound, authorities = host.config.outbound, host.authorities
        self._peers = PeerServers(
            outbound.kubelet_client_certificate,
            outbound.kubelet_client_key,
            outbound.peer_ca_file or host.files.ca_cert,
            lambda: authorities.clients,
        )
        await asyncio.to_thread(self._peers.check)
        return await super().open_cluster(host, opened)

    async def open_directory(self, host: Host, cluster: Cluster, opened: Opened) -> SharedDirectory:
        options, etcd = host.config.store, host.ways.egress.etcd
        routes = await etcd_routes(options, etcd, opened) if etcd is not None else None
        tls = TLS(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
        journal = SharedEtcdStorage(options.etcd_servers, tls, options.etcd_prefix + SUFFIX, routes)
        most = host.config.clusters.clusters_awake_max
        return SharedDirectory(host, journal, most, cluster.registry.store.fresh)

    def handler(self, cluster: Cluster) -> RequestHandler:
        directory, clients = self.directory, cluster.host.clients
        self._forwarder = Forwarder(clients.controlplane, self._peers, directory.elsewhere, directory.metrics)
        domain = cluster.host.config.clusters.clusters_domain
        return SharedRouter(cluster.pipeline, directory, domain, self._peers, self._forwarder)

    def end_watches(self, cluster: Cluster) -> None:
        super().end_watches(cluster)
        self._forwarder.end_watches()

    def bind(self, cluster: Cluster, opened: Opened) -> Listener:
        listener = super().bind(cluster, opened)
        self.directory.shared.address = peer_address(advertised(cluster.host.config.serving), listener.port)
        return listener

    def upkeep_of_journal(self, host: Host) -> list[Background]:
        """Nothing: that of the server's own store looks after the same etcd."""
        return []

    def start_controllers(
        self, running: Running, writers: Writers, planned: list[BootstrapObject], opened: Opened
    ) -> None:
        super().start_controllers(running, writers, planned, opened)
        running.host.metrics.add(self.directory.metrics)
        opened.start(self._forwarder)
        opened.start(Leadership(self.directory, self._controller))
