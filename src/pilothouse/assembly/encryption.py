"""Opens the encryption at rest. It is imported when --encryption-provider-config is given."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.registry import encoding
from pilothouse.registry.catalog import Catalog
from pilothouse.reload import Followed, Reloads
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.encryption.backend import EncryptedStorage, Encryption
from pilothouse.storage.encryption.kms.intervals import KMSIntervals
from pilothouse.storage.encryption.kms.metrics import EnvelopeMetrics
from pilothouse.storage.encryption.kms.provider import KMS
from pilothouse.storage.encryption.metrics import EncryptionMetrics
from pilothouse.storage.interface import Storage, Unavailable


class CipherMetrics(NamedTuple):
    """The metrics of encryption: of envelopes by KMS, and of the configuration."""

    envelope: EnvelopeMetrics
    encryption: EncryptionMetrics

    @classmethod
    def of_server(cls) -> "CipherMetrics":
        """The metrics of one server, which count nothing yet."""
        return cls(EnvelopeMetrics(), EncryptionMetrics())

    def name(self, server: str) -> None:
        """Give them the name of this server's lease."""
        self.envelope.server_id = self.encryption.server_id = server


def encryption_of(
    options: StoreOptions,
    resource_of: Callable[[str], str],
    counted: CipherMetrics,
    reloads: Reloads,
    *,
    intervals: KMSIntervals,
) -> Encryption:
    """The encryption that --encryption-provider-config declares;
    the file is followed where the flags ask for it."""
    make = functools.partial(KMS, metrics=counted.envelope, intervals=intervals)
    path = options.encryption_provider_config
    prefix = "/" + options.etcd_prefix.strip("/")
    metrics = counted.encryption
    made = Encryption(encryption_config.load(path, make), resource_of, prefix, metrics=metrics)
    if options.encryption_provider_config_automatic_reload:
        reload = encryption_config.EncryptionReload(path, made, make)
        reloads.follow(
            Followed(
                kind="encryption",
                paths=lambda: (path,),
                read=reload.read,
                use=reload.use,
                metrics=metrics,
                faults=(Unavailable,),
            )
        )
    else:
        metrics.configured(Path(path).read_bytes())
    return made


def encrypted(
    storage: Storage, catalog: Catalog, encryption: Encryption
) -> tuple[EncryptedStorage, Callable[[str, bytes], bytes]]:
    """A store behind its encryption, and the function that makes JSON of what is stored."""
    read = encoding.reader(catalog)

    def to_json(key: str, value: bytes) -> bytes:
        return read(key, encryption.decrypt(key, value))

    return EncryptedStorage(storage, encryption), to_json
