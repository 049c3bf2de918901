"""storage.k8s.io/v1: classes, CSI drivers and nodes, capacities, attachments."""

from pilothouse.registry.groups.records import (
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "storage.k8s.io"

ATTACHMENT = Strategy(unconditional_update=False, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "CSIDriver",
        "csidrivers",
        "hL6j/rwBV5w=",
        Strategy(unconditional_update=False, generation_fields=(SPEC,)),
    ),
    resource(GROUP, "v1", "CSINode", "csinodes", "Pe62DkZtjuo=", Strategy(unconditional_update=False)),
    resource(
        GROUP,
        "v1",
        "CSIStorageCapacity",
        "csistoragecapacities",
        "xeVl+2Ly1kE=",
        Strategy(unconditional_update=False),
        namespaced=True,
    ),
    resource(GROUP, "v1", "StorageClass", "storageclasses", "K+m6uJwbjGY=", Strategy(), short_names=("sc",)),
    resource(
        GROUP,
        "v1",
        "VolumeAttachment",
        "volumeattachments",
        "tJx/ezt6UDU=",
        ATTACHMENT,
        status=status_strategy(ATTACHMENT, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)),
    ),
    resource(
        GROUP,
        "v1",
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "tIjydgKBC5w=",
        Strategy(),
        short_names=("vac",),
    ),
]
