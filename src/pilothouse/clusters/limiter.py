"""Refuses to create more logical clusters than the flags allow."""

from pilothouse import errors
from pilothouse.admission.about import CREATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.clusters.definition import NAME
from pilothouse.clusters.directory import Directory
from pilothouse.configuration.sections.clusters import ClusterOptions
from pilothouse.registry.admission import AdmissionAttributes


class ClusterLimiter(AdmissionPlugin):
    """429 for a cluster beyond --clusters-max, 507 when the store has reached --clusters-max-bytes.

    What exists goes on, and a cluster that is deleted makes room.
    """

    name = "ClusterLimiter"
    about = (About((CREATE,), (NAME,)),)

    def __init__(self, directory: Directory, options: ClusterOptions) -> None:
        self._directory = directory
        self._most = options.clusters_max
        self._most_bytes = options.most_bytes

    async def validate(self, a: AdmissionAttributes) -> None:
        directory = self._directory
        if self._most_bytes and (size := await directory.journal.size()) >= self._most_bytes:
            raise errors.InsufficientStorage(
                f"the store of the clusters has {size} bytes, and --clusters-max-bytes={self._most_bytes}"
                " allows no more clusters: delete some first"
            )
        if self._most and len(directory.places) + len(directory.coming) >= self._most:
            raise errors.TooManyRequests(
                f"the server has {len(directory.places)} clusters, and --clusters-max={self._most} allows no"
                " more: delete one first"
            )
        assert a.obj is not None
        name = a.obj["metadata"]["name"]
        if self._most and name not in directory.places:
            directory.coming.add(name)
            a.undo.append(lambda: directory.coming.discard(name))
