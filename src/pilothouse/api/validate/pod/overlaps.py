"""Warnings about files of one volume whose paths overlap (podutil.warningsForOverlappingVirtualPaths)."""

from collections.abc import Iterable, Iterator

from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

MOST = 1000
"""Overlaps of a volume that are looked for."""
MOST_FILES = 5000
"""Files of a volume that are looked at: to sort so many takes some milliseconds."""

MountedFile = tuple[str, str]
"""The path of a file in a volume, and what it comes from, "" where that is the volume itself."""


def overlap_warnings(volumes: Iterable[Object]) -> Iterator[str]:
    """Warnings about overlapping paths in each volume, and about projected sources that name nothing."""
    for volume in volumes:
        name = quote(volume.get("name", ""))
        for member, shown in _SOURCES:
            source = volume.get(member)
            if source is not None:
                for text in overlaps(_listed(source, "")):
                    yield f"volume {name} ({_called(shown, source, member)}): overlapping paths: {text}"
        if volume.get("projected") is not None:
            yield from _projected(name, volume["projected"].get("sources") or ())


_SOURCES = (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI"))


def _called(shown: str, source: Object, member: str) -> str:
    """The name of a source in warnings: `Secret "a"`."""
    if member == "downwardAPI":
        return shown
    name = source.get("secretName" if member == "secret" and "secretName" in source else "name", "")
    return f"{shown} {quote(name)}"


def _listed(source: Object, called: str) -> list[MountedFile]:
    return [(item.get("path", ""), called) for item in source.get("items") or ()]


def _projected(name: str, sources: Iterable[Object]) -> Iterator[str]:
    files: list[MountedFile] = []
    for source in sources:
        if not any(value is not None for value in source.values()):
            yield f"volume {name} (Projected) has no sources provided"
        files += _files(source)
    for text in overlaps(files):
        yield f"volume {name} (Projected): overlapping paths: {text}"


def _files(source: Object) -> list[MountedFile]:
    """The files of a projected source."""
    for member, shown in _SOURCES:
        found = source.get(member)
        if found is not None and found.get("items") is not None:
            return _listed(found, _called(shown, found, member))
    token, bundle = source.get("serviceAccountToken"), source.get("clusterTrustBundle")
    if token is not None:
        return [(token.get("path", ""), "ServiceAccountToken")]
    if bundle is not None:
        called = bundle.get("name")
        called = bundle.get("signerName", "") if called is None else called
        return [(bundle.get("path", ""), f"ClusterTrustBundle {quote(called)}")]
    certificate = source.get("podCertificate") or {}
    return [(certificate[member], called) for member, called in _CERTIFICATE if certificate.get(member)]


_CERTIFICATE = (
    ("certificateChainPath", "PodCertificate chain"),
    ("keyPath", "PodCertificate key"),
    ("credentialBundlePath", "PodCertificate credential bundle"),
)


def overlaps(files: list[MountedFile]) -> Iterator[str]:
    """The pairs of files of which one lies at or below the other's path, as texts in the order of the later one.

    Sorted by their parts, what lies below a path follows it.
    """
    paths = [path.rstrip("/") for path, _ in files[:MOST_FILES]]
    folders = [f"{path}/" for path in paths]
    order = sorted((path.split("/"), i) for i, path in enumerate(paths) if path)
    above: list[int] = []
    pairs: list[tuple[int, int]] = []
    for _, i in order:
        while above and not folders[i].startswith(folders[above[-1]]):
            above.pop()
        pairs += [(max(i, other), min(i, other)) for other in above[: MOST - len(pairs)]]
        if len(pairs) >= MOST:
            break
        above.append(i)
    for late, early in sorted(pairs):
        yield f"{_shown(paths[late], files[late][1])} with {_shown(paths[early], files[early][1])}"


def _shown(path: str, source: str) -> str:
    return f"{quote(path)} ({source})" if source else quote(path)
