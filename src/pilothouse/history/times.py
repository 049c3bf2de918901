"""Times of changes as texts."""

from datetime import UTC, datetime


def timestamp(time_ms: int) -> str:
    """A time as RFC 3339 with milliseconds."""
    when = datetime.fromtimestamp(time_ms / 1000, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03}Z"
