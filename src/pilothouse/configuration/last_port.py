"""The port that the server of a data directory was last reached at, for commands that are not told."""

from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.files import try_to_write


def record_port(options: DataOptions, port: int) -> None:
    """Keep the port that a server of this data directory listens on, for `last_port`."""
    try_to_write(options.directory / "port", f"{port}\n".encode())


def last_port(config: Config) -> int:
    """The port that the server of this data directory was last reached at;
    that of the flags when none has run."""
    try:
        return int((config.data.directory / "port").read_text())
    except (OSError, ValueError):
        return config.serving.secure_port
