"""Keeps what aggregated servers say about their API:
the paths of version 3, and documents made of their version 2."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import field

from pilothouse.api.openapi.aggregate import AggregatedDocument, read
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen

log = Logger(__name__)

GroupVersion = tuple[str, str]

KEPT_BYTES = 16 << 20
"""Bytes of compressed documents that are kept of all aggregated servers together."""


@frozen
class Packed:
    """A compressed JSON document, and the hash of what it holds."""

    hash: str
    data: bytes = field(repr=False)


@frozen
class RemoteSpec:
    """The documents of a group version.

    `proxied` are the names of the version 3 documents that its server answers itself, with their hashes.
    `converted` is made of version 2 where it answers none.
    `part` is what the group version adds to the document of version 2.
    """

    proxied: dict[str, str] = field(default_factory=dict)
    converted: Packed | None = None
    part: Packed | None = None

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(len(packed.data) for packed in (self.converted, self.part) if packed is not None)


class RemoteDocuments:
    """The documents of the group versions of aggregated servers.
    Callbacks in `changed` are called after each change."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._specs: dict[GroupVersion, RemoteSpec] = {}
        self._most_bytes = kept_bytes
        self.changed: list[Callable[[str, str], None]] = []

    def set(self, version: GroupVersion, spec: RemoteSpec) -> RemoteSpec:
        """Keep what was read, without its documents when there is no room for them; returns what is kept."""
        others = sum(known.size for key, known in self._specs.items() if key != version)
        if others + spec.size > self._most_bytes:
            log.warning(
                "The OpenAPI documents of aggregated servers are too large, one is left out",
                group=version[0],
                version=version[1],
                bytes=spec.size,
                limit=self._most_bytes,
            )
            spec = RemoteSpec(spec.proxied)
        if self._specs.get(version) != spec:
            self._specs[version] = spec
            self._notify(version)
        return spec

    def remove(self, version: GroupVersion) -> None:
        """Forget a group version."""
        if self._specs.pop(version, None) is not None:
            self._notify(version)

    def _notify(self, version: GroupVersion) -> None:
        for callback in self.changed:
            callback(*version)

    def get(self, version: GroupVersion) -> RemoteSpec | None:
        """The documents of a group version."""
        return self._specs.get(version)

    def proxied(self, name: str) -> GroupVersion | None:
        """The group version whose server answers a document of version 3; None if there is none."""
        return next((version for version, spec in self._specs.items() if name in spec.proxied), None)

    def converted(self, name: str) -> Packed | None:
        """The document of version 3 with a name, where it is kept here."""
        for version, spec in self._specs.items():
            if spec.converted is not None and name == document_name(version):
                return spec.converted
        return None

    def hashes(self) -> Iterator[tuple[str, str]]:
        """The names of all documents of version 3, with their hashes."""
        for version, spec in self._specs.items():
            yield from spec.proxied.items()
            if spec.converted is not None:
                yield document_name(version), spec.converted.hash

    def parts(self, priority: Callable[[str, str], int]) -> list[Packed]:
        """The parts of the document of version 2, the groups of the highest priority first, then by name."""
        best: dict[str, int] = {}
        for group, version in self._specs:
            best[group] = max(best.get(group, 0), priority(group, version))
        order = sorted(self._specs, key=lambda gv: (-best[gv[0]], f"{gv[1]}.{gv[0]}"))
        return [packed for version in order if (packed := self._specs[version].part) is not None]


def document_name(version: GroupVersion) -> str:
    """The name of a group version's document: its path without the leading slash."""
    group, name = version
    return f"apis/{group}/{name}" if group else f"api/{name}"


def pack(data: bytes, hash: str) -> Packed:
    """Compress a document; to be called on a thread."""
    return Packed(hash, gzip.compress(data, compresslevel=4, mtime=0))


def unpack(packed: Packed) -> AggregatedDocument:
    """A part that was packed; to be called on a thread."""
    document = read(gzip.decompress(packed.data))
    return AggregatedDocument(document["paths"], document["definitions"])
