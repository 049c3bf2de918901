"""Read the samples that a group of metrics shows."""

from pilothouse.metrics.instruments import Group


def samples(shown: Group | str) -> dict[str, str]:
    """Sample name with its labels -> value, of a group or of a text."""
    text = shown if isinstance(shown, str) else "".join(metric.text() for metric in shown.metrics())
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)
