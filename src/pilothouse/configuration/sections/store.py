"""The store of objects: etcd or the built-in one, encryption, the watch cache."""

from collections.abc import Iterator

from pilothouse.configuration.backends import ADDRESSED, BACKENDS
from pilothouse.configuration.sections.section import Section, etcd, own
from pilothouse.process.frozen import frozen

OBJECT_LIMIT = 3 << 19
"""1.5 MiB, etcd's default limit of a request (its --max-request-bytes)."""
DURABILITIES = ("strict", "relaxed")
"""The values of --lease-durability; the first is the default."""

HISTORY_BACKENDS = ("sqlite", "etcd3")
"""The stores whose changes can be kept."""


@frozen(eq=False)
class StoreOptions(Section):
    """The store of objects: etcd or the built-in one, encryption, the watch cache."""

    # fmt: off
    encryption_provider_config: str = etcd("", "file",
        "EncryptionConfiguration: which resources are stored encrypted, and with which keys.")
    encryption_provider_config_automatic_reload: bool = etcd(False, "bool",
        "Read the encryption configuration again when its file changes.")
    etcd_cafile: str = etcd("", "file", "CA that signed the certificates of etcd.")
    etcd_certfile: str = etcd("", "file", "Client certificate for etcd.")
    etcd_compaction_interval: float = etcd(300.0, "duration",
        "Time between compactions of the store, each to what was the newest revision at the one before: "
        "continue tokens and exact resourceVersions are good for that long at least. 0 never compacts.")
    etcd_count_metric_poll_period: float = etcd(60.0, "duration",
        "Time between counts of the stored objects.", effective=False)
    etcd_db_metric_poll_interval: float = etcd(30.0, "duration",
        "Time between looks at the size of the store.", effective=False)
    etcd_healthcheck_timeout: float = etcd(2.0, "duration", "Time for the health check of etcd.")
    etcd_keyfile: str = etcd("", "file", "Key of the client certificate for etcd.")
    etcd_prefix: str = etcd("/registry", "string", "Start of every key in the store.")
    etcd_readycheck_timeout: float = etcd(2.0, "duration",
        "Time for the readiness check of etcd.")
    etcd_servers: tuple[str, ...] = etcd((), "strings",
        "Addresses of the members of etcd, as http://host:port or https://host:port. Without any, the "
        "store is built in; `kube-apiserver` then needs --data-dir or --storage-backend.")
    etcd_servers_overrides: tuple[str, ...] = etcd((), "strings",
        "Addresses of etcd for single resources. Not supported, and refused at the start: all resources "
        "are in one store.")
    history: bool = own(False, "bool",
        "Keep the changes of objects, with who made them, in a file in --data-dir.")
    history_policy_file: str = own("", "file",
        "HistoryPolicy: which changes are kept, for how long, and how much of them. Implies --history.")
    lease_reuse_duration_seconds: int = etcd(60, "int",
        "Seconds for which an etcd lease takes in more keys.")
    lease_durability: str = own("strict", "string",
        "When the built-in store answers updates of leases in the namespace kube-node-lease: strict, once "
        "they are on disk like all other writes, or relaxed, before that. A power cut may take the last of "
        "them then, a crash of the server none.")
    max_object_bytes: int = own(OBJECT_LIMIT, "int",
        "Bytes that an object may have as it is stored. The default is what etcd takes.")
    storage_backend: str = etcd("sqlite", "string",
        "Where objects are kept: etcd3 (in --etcd-servers), sqlite (in --data-dir) or memory. Default: "
        "etcd3 when --etcd-servers is given.")
    storage_media_type: str = etcd("application/json", "string",
        "Form in which objects are stored; always JSON.", effective=False)
    watch_cache: bool = etcd(True, "bool", "Serve reads from memory; always so.", effective=False)
    watch_cache_sizes: tuple[str, ...] = etcd((), "strings",
        "Sizes of watch caches, as resource#size; only 0 ever had an effect.", effective=False)
    # fmt: on

    @property
    def backend(self) -> str:
        """The store that is used: the one asked for, else the one that has addresses where there are some."""
        if self.etcd_servers and "storage-backend" not in self.given:
            return ADDRESSED
        return self.storage_backend

    @property
    def others_write(self) -> bool:
        """Whether other processes can have the store as well."""
        backend = BACKENDS.get(self.backend)
        return backend is not None and backend.others_write

    @property
    def keeps_history(self) -> bool:
        """Whether changes are kept."""
        return self.history or bool(self.history_policy_file)

    def faults(self) -> Iterator[str]:
        """Yield the faults: an unknown store, one without addresses, and a client certificate without its
        key."""
        if self.storage_backend not in BACKENDS:
            yield (
                f"--storage-backend invalid, allowed values: {', '.join(BACKENDS)}. "
                "If not specified, it will default to 'sqlite'"
            )
        elif BACKENDS[self.backend].addresses and not self.etcd_servers:
            yield "--etcd-servers must be specified"
        if self.keeps_history and self.backend not in HISTORY_BACKENDS:
            yield (
                f"--history needs --storage-backend={' or '.join(HISTORY_BACKENDS)}: the {self.backend} store"
                " does not keep who has written"
            )
        if self.etcd_servers_overrides:
            yield (
                f"--etcd-servers-overrides={','.join(self.etcd_servers_overrides)} is not supported: all"
                " resources are read from --etcd-servers, and those of another etcd would be missing. Move"
                " them there or drop them (docs/migrate.md), and leave the flag out"
            )
        if self.lease_durability not in DURABILITIES:
            yield f"--lease-durability invalid, allowed values: {', '.join(DURABILITIES)}"
        elif self.lease_durability != DURABILITIES[0] and self.backend != "sqlite":
            yield (
                f"--lease-durability={self.lease_durability} is for the built-in store, and the store is"
                f" {self.backend}"
            )
        yield from self.together("etcd_certfile", "etcd_keyfile")
        if self.encryption_provider_config_automatic_reload and not self.encryption_provider_config:
            yield (
                "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config"
            )
