"""How often a provider of keys asks its plugin."""

from pilothouse.process.frozen import frozen


@frozen(kw_only=True)
class KMSIntervals:
    """The intervals of a provider in seconds.

    healthy_poll, failing_poll: between two looks at a plugin that is well, and at one that is not.
    opening_poll: between two looks at one that must be well before it is used.
    write_ttl: for these a seed may be written
    with after the plugin last said that its key is the current one.
    retry: after these a key that could not be decrypted is asked for again.
    """

    healthy_poll: float = 60.0
    failing_poll: float = 10.0
    opening_poll: float = 0.1
    write_ttl: float = 180.0
    retry: float = 1.0


DEFAULT_INTERVALS = KMSIntervals()
