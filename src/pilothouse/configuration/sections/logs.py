"""The lines of the log."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, logs
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class LogOptions(Section):
    """The lines of the log."""

    # fmt: off
    log_flush_frequency: float = logs(5.0, "duration",
        "Time between flushes; nothing is held back here.", effective=False)
    log_json_info_buffer_size: str = logs("", "quantity", "Buffer for split JSON output.", effective=False)
    log_json_split_stream: bool = logs(False, "bool",
        "JSON: errors to stderr, the rest to stdout.", effective=False)
    log_text_info_buffer_size: str = logs("", "quantity", "Buffer for split text output.", effective=False)
    log_text_split_stream: bool = logs(False, "bool",
        "Text: errors to stderr, the rest to stdout.", effective=False)
    logging_format: str = logs("text", "string", "Form of log lines: text or json.")
    v: int = logs(0, "level", "How much is logged; higher is more.", short="v")
    vmodule: tuple[tuple[str, int], ...] = logs((), "vmodule",
        "Levels for single files, as pattern=N,pattern=N.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the fault of an unknown format."""
        if self.logging_format not in ("text", "json"):
            yield f'format: Invalid value: "{self.logging_format}": Unsupported log format'
