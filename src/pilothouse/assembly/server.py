"""One API server: opens its parts in order, and closes them in reverse order."""

import asyncio
import pathlib
import shlex
import socket
from typing import NamedTuple

from pilothouse import pki
from pilothouse.admission.plugins import enabled
from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.controllers import Writers
from pilothouse.assembly.host import Given, Host
from pilothouse.assembly.intervals import DEFAULT_INTERVALS, Intervals
from pilothouse.assembly.preload import Preload
from pilothouse.assembly.renewal import Renewal
from pilothouse.configuration.addresses import reachable, url
from pilothouse.configuration.config import Config
from pilothouse.configuration.last_port import record_port
from pilothouse.controllers.bootstrap import BootstrapObject
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.files import try_to_write
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.server.listener import Listener
from pilothouse.server.request import RequestHandler
from pilothouse.storage.interface import Storage

log = Logger(__name__)

DRAIN_SECONDS = 60.0


class Running(NamedTuple):
    """The parts of a server that was started."""

    host: Host
    cluster: Cluster
    listener: Listener


class Server:
    """One API server. `start` returns when it is ready; `stop` when everything it took is given back.

    It is started in stages, each a method that a subclass may replace:

    1. `open_host`: certificates, metrics, caches, ways to other servers (host.py)
    2. `open_cluster`: the storage, the watch cache, what looks after the storage, the handlers (cluster.py)
    3. `bind`: sockets; nothing is accepted yet
    4. `fill`: the objects of a fresh cluster
    5. `start_controllers`
    6. `listen`: requests are answered
    7. `announce`: other servers are told of this one

    What a stage opens it puts on `opened`. `stop` closes the last first: other servers are told, load
    balancers get time to notice, controllers end, requests are drained, and then what requests need is
    closed: the outbound client, what looks after the storage, threads, the watch cache, the storage. A start
    that fails or is cancelled closes what has been opened so far, in the same order.
    """

    def __init__(
        self,
        config: Config,
        *,
        sockets: list[socket.socket] | None = None,
        storage: Storage | None = None,
        intervals: Intervals = DEFAULT_INTERVALS,
        worker: pathlib.Path | None = None,
    ) -> None:
        """The arguments are those of host.Given."""
        self._given = Given(
            config=config, sockets=sockets, storage=storage, intervals=intervals, worker=worker
        )
        self._opened = Opened()
        self._running: Running | None = None
        self._drain_seconds = 0.0

    @property
    def parts(self) -> Running:
        """The parts, once it has started; they can be looked at after the stop, too."""
        assert self._running is not None, "the server has not started"
        return self._running

    @property
    def host(self) -> Host:
        """The parts of the process."""
        return self.parts.host

    @property
    def cluster(self) -> Cluster:
        """The parts of the cluster."""
        return self.parts.cluster

    @property
    def listener(self) -> Listener:
        """The listener, which accepts connections."""
        return self.parts.listener

    @property
    def pipeline(self) -> Pipeline:
        """The handler of requests."""
        return self.parts.cluster.pipeline

    async def start(self) -> None:
        """Open the store, make what is missing, listen; cancelled or failed, it closes what it has opened."""
        async with Opened() as opened:
            host = await self.open_host(opened)
            cluster = await self.open_cluster(host, opened)
            listener = self.bind(cluster, opened)
            running = Running(host, cluster, listener)
            writers = cluster.writers(listener.port)
            planned = writers.planned()
            await self.fill(running, writers, planned, opened)
            self.start_controllers(running, writers, planned, opened)
            await self.listen(running, opened)
            self.announce(writers, planned, opened)
            host.health.finish()
            _tell(running)
            opened.start(Preload())
            self._opened = opened.pop_all()
            self._running = running

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Fail readyz, wait for load balancers,
        drain requests and watches for `drain` seconds, close the store."""
        if self._running is not None:
            self._running.host.health.shutting_down = True
        self._drain_seconds = drain
        await self._opened.aclose()

    def reload(self) -> None:
        """Look at once at all files that are followed, as SIGHUP asks for;
        one that starts reads them anyway."""
        if self._running is not None:
            self._running.host.reloads.look()

    # The stages of a start

    async def open_host(self, opened: Opened) -> Host:
        """Open what the process has."""
        return await Host.open(self._given, opened)

    async def open_cluster(self, host: Host, opened: Opened) -> Cluster:
        """Open the storage and make the handlers of requests."""
        return await Cluster.open(host, opened)

    def bind(self, cluster: Cluster, opened: Opened) -> Listener:
        """Bind the sockets and load the certificates; nothing is accepted yet."""
        listener = cluster.host.bind(self.handler(cluster), cluster.access.authenticator, opened)

        async def end() -> None:
            if cluster.pipeline.edges is not None:
                cluster.pipeline.edges.stopping = True
            await listener.stop(self._drain_seconds, lambda: self.end_watches(cluster))

        opened.on_close("the listener", end)
        return listener

    def handler(self, cluster: Cluster) -> RequestHandler:
        """The object that answers the requests of all connections."""
        return cluster.pipeline

    def end_watches(self, cluster: Cluster) -> None:
        """End all watches: their clients go on elsewhere."""
        cluster.registry.cacher.end_watches()

    async def fill(
        self, running: Running, writers: Writers, planned: list[BootstrapObject], opened: Opened
    ) -> None:
        """Write what is missing of the objects of a fresh cluster."""
        host, cluster, _ = running
        server_id = next((one.name for one in planned if one.plural == "leases"), "")
        cluster.named.name(server_id)
        if cluster.handlers.journal is not None:
            cluster.handlers.journal.server = server_id
        await host.tracing.start(server_id)
        for one in await writers.fill(planned):
            opened.start(one)

    def start_controllers(
        self, running: Running, writers: Writers, planned: list[BootstrapObject], opened: Opened
    ) -> None:
        """Start the renewal of certificates,
        the controllers that the flags leave on, and what tells of reloads."""
        host, given = running.host, self._given
        opened.start(
            Renewal(
                given.config,
                host.files,
                lambda: _tell_kubeconfig(given.config, _write_kubeconfig(running)),
                given.intervals.certificates,
            )
        )
        running.cluster.start_controllers(writers, opened)
        events = writers.reload_events(planned)
        opened.start(events)
        host.reloads.listen(events.tell)

    async def listen(self, running: Running, opened: Opened) -> None:
        """Begin to answer requests."""
        await running.listener.start()

        async def let_balancers_notice() -> None:
            """Go on answering while load balancers take this server,
            whose readyz fails, out of their lists."""
            host, cluster, _ = running
            if not host.health.shutting_down:  # the start has failed: nobody was told of this server
                return
            delay = host.config.lifecycle.shutdown_delay_duration
            await asyncio.sleep(delay / 2)
            cluster.pipeline.draining = True
            await asyncio.sleep(delay / 2)

        opened.on_close("the pause for load balancers", let_balancers_notice)

    def announce(self, writers: Writers, planned: list[BootstrapObject], opened: Opened) -> None:
        """Tell other servers of this one."""
        for one in writers.presence(planned):
            opened.start(one)


# What a server says once it serves


def _tell(running: Running) -> None:
    host, cluster, listener = running
    config = host.config
    record_port(config.data, listener.port)
    kubeconfig = _write_kubeconfig(running)
    log.info(
        "Serving",
        url=url(reachable(config.serving), listener.port),
        address=config.serving.bind_address,
        port=listener.port,
        dataDirectory=str(config.data.directory),
        storage=config.store.backend,
        authorization=",".join(config.authorization.modes),
        audit="on" if config.audit.audit_policy_file else "off",
        encryption="on" if config.store.encryption_provider_config else "off",
    )
    _tell_kubeconfig(config, kubeconfig)
    _tell_safeguards(config, cluster.access.anonymous_refused)


def _write_kubeconfig(running: Running) -> pathlib.Path | None:
    """Write the administrator's kubeconfig,
    unless the certificates are the operator's and no flag asks for it."""
    config = running.host.config
    if not config.data.write_kubeconfig and _certificates_given(config):
        return None
    path = pathlib.Path(config.data.write_kubeconfig or config.data.directory / "admin.kubeconfig")
    made = pki.admin_kubeconfig(config.serving, running.host.files, running.listener.port)
    return path if try_to_write(path, made) else None


def _certificates_given(config: Config) -> list[str]:
    """The flags by which the operator has given certificates."""
    return sorted(config.given & {"cert-dir", "tls-cert-file"})


def _tell_kubeconfig(config: Config, written: pathlib.Path | None) -> None:
    """Log the first command to try, or who can write the kubeconfig for it."""
    given = _certificates_given(config)
    if written is not None:
        command = f"kubectl --kubeconfig {shlex.quote(str(written))} get namespaces"
        log.info("A kubeconfig was written", path=str(written), command=command)
    elif not config.data.write_kubeconfig and given:
        log.info(
            "No kubeconfig was written, because the certificates are the operator's; `pilothouse kubeconfig`"
            " prints one, and --write-kubeconfig writes it",
            flag=given[0],
        )


def _tell_safeguards(config: Config, anonymous_refused: bool) -> None:
    """Log what is on or off though no flag said so."""
    if anonymous_refused:
        log.warning(
            "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. "
            "You should use a different authorizer"
        )
    on = enabled(config.admission, config.authorization.modes)
    if "NodeRestriction" in on and "NodeRestriction" not in config.admission.enable_admission_plugins:
        log.info(
            "admission plugin NodeRestriction is on, as the Node authorizer is; "
            "--disable-admission-plugins=NodeRestriction switches it off"
        )
