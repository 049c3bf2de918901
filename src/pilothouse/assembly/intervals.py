"""How often a server tries and looks by itself, where no flag says so."""

from dataclasses import dataclass

from pilothouse.audit import reload as audit_reload
from pilothouse.controllers import bootstrap
from pilothouse.storage import watchcache
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.kms import provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Seconds. The defaults are those of production; tests of whole servers shorten them.

    kms: those of a KMS provider. encryption_file: between two looks at the encryption configuration. unreadable: the
    first and the longest between two attempts to read what could not be read. audit_policy: between two looks at the
    audit policy. missing: between two attempts to write objects of a fresh cluster that had to wait.
    """

    kms: provider.Intervals = provider.DEFAULT_INTERVALS
    encryption_file: float = encryption_config.POLL
    unreadable: tuple[float, float] = watchcache.RETRY
    audit_policy: float = audit_reload.POLL
    missing: float = bootstrap.RETRY_SECONDS


DEFAULT_INTERVALS = Intervals()
