"""resource.k8s.io/v1: device classes, resource claims and slices."""

from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "resource.k8s.io"

CLAIM = Strategy(**STATUS_APART)

RESOURCES = [
    resource(GROUP, "v1", "DeviceClass", "deviceclasses", "Yk2PTc1Ybxk=", Strategy(**COUNTS_SPEC)),
    resource(
        GROUP,
        "v1",
        "ResourceClaim",
        "resourceclaims",
        "wgAZaHcZxUg=",
        CLAIM,
        namespaced=True,
        status=status_strategy(CLAIM, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)),
    ),
    resource(
        GROUP,
        "v1",
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        "TuzjC49aUfM=",
        Strategy(),
        namespaced=True,
    ),
    resource(
        GROUP,
        "v1",
        "ResourceSlice",
        "resourceslices",
        "KsC072WgaEY=",
        Strategy(**COUNTS_SPEC),
        selectable={"spec.nodeName": ("spec", "nodeName"), "spec.driver": ("spec", "driver")},
        field_error="field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {label}",
    ),
]
