"""How often a server tries and looks by itself, where no flag says so."""

from pilothouse import reload
from pilothouse.assembly import renewal
from pilothouse.controllers import bootstrap
from pilothouse.endpoints.objects import standing
from pilothouse.process.frozen import frozen
from pilothouse.storage import watchcache
from pilothouse.storage.encryption.kms.intervals import DEFAULT_INTERVALS as DEFAULT_KMS
from pilothouse.storage.encryption.kms.intervals import KMSIntervals


@frozen(kw_only=True)
class Intervals:
    """Intervals in seconds. The defaults are those of production; tests of whole servers shorten them.

    kms: those of a KMS provider. files: between two looks at the files that the server is configured by.
    unreadable: the first and the longest between two attempts to read what could not be read. missing:
    between two attempts to write objects of a fresh cluster that had to wait.
    certificates: between two looks whether certificates are about to expire.
    open_requests: between two looks at open requests, where an option has them judged again.
    """

    kms: KMSIntervals = DEFAULT_KMS
    files: float = reload.POLL
    unreadable: tuple[float, float] = watchcache.RETRY
    missing: float = bootstrap.RETRY_SECONDS
    certificates: float = renewal.INTERVAL
    open_requests: float = standing.POLL


DEFAULT_INTERVALS = Intervals()
