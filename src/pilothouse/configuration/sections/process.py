"""The processes of a server, and the memory that they may take."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, bytes_of, own
from pilothouse.process.frozen import frozen

LEAST_MEMORY = 128 << 20
"""Bytes that a worker needs to do anything at all."""


@frozen(eq=False)
class ProcessOptions(Section):
    """The processes of a server, and the memory that they may take."""

    # fmt: off
    cache_memory_mb: int = own(64, "int",
        "Megabytes for what is remembered between requests, such as whose a token is and what a user may do.")
    max_memory: str = own("", "quantity",
        "Memory that this server may take, such as 2Gi, shared by its workers: requests that do not fit wait "
        "or are refused "
        "with 429. 0 for no limit. Default: 7/8 of the control group's limit, if there is one.")
    workers: int = own(1, "int",
        "Processes that share the port, each with its own cache; more than one need --etcd-servers.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: too few workers, or too little memory."""
        if self.cache_memory_mb < 1:
            yield f"--cache-memory-mb {self.cache_memory_mb} must be at least 1"
        size, problem = bytes_of("max-memory", self.max_memory)
        if problem:
            yield problem
        elif 0 < size < LEAST_MEMORY * self.workers:
            yield (
                f"--max-memory {self.max_memory} must be at least {LEAST_MEMORY >> 20}Mi for each of"
                f" --workers={self.workers}, or 0"
            )
        if self.workers < 1:
            yield f"--workers {self.workers} must be at least 1"
