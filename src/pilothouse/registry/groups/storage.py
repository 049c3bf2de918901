"""storage.k8s.io/v1: classes, CSI drivers and nodes, capacities, attachments."""

from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_ALONE, WHOLE_FIRST, Strategy, UpdateCheck

GROUP = "storage.k8s.io"

CSI_DRIVER = Strategy(
    unconditional_update=False,
    generation_fields=(SPEC,),
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.storage.validate_csi_driver(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_csi_driver_update(obj, old, errs),
    warnings=lambda ctx, obj, old: rules.storage.csi_driver_warnings(obj, old),
)
CSI_NODE = Strategy(
    unconditional_update=False,
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.storage.validate_csi_node(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_csi_node_update(obj, old, errs),
    update_order=WHOLE_ALONE,
)
CAPACITY = Strategy(
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.storage.validate_capacity(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.storage.validate_capacity(obj, errs, old),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_capacity_update(obj, old, errs),
    warnings=lambda ctx, obj, old: rules.node_labels.selector_warnings(
        obj.get("nodeTopology"), "nodeTopology"
    ),
    update_order=WHOLE_FIRST,
)
STORAGE_CLASS = Strategy(
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.storage.validate_storage_class(obj, errs),
    warnings=lambda ctx, obj, old: rules.node_labels.topology_warnings(
        obj.get("allowedTopologies") or [], "allowedTopologies"
    ),
    validate_anew=lambda ctx, obj, old, errs: rules.storage.validate_storage_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_storage_class_update(obj, old, errs),
    update_order=WHOLE_FIRST,
)
ATTRIBUTES_CLASS = Strategy(
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.storage.validate_volume_attributes_class(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.storage.validate_volume_attributes_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_volume_attributes_class_update(
        obj, old, errs
    ),
    update_order=(UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES, UpdateCheck.METADATA, UpdateCheck.ANEW),
)
ATTACHMENT = Strategy(
    unconditional_update=False,
    return_deleted=True,
    validate=lambda ctx, obj, errs: rules.storage.validate_attachment(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.storage.validate_attachment_update(obj, old, errs),
    update_order=WHOLE_ALONE,
    **STATUS_APART,
)
ATTACHMENT_STATUS = status_strategy(
    ATTACHMENT,
    lambda ctx, obj, old, errs: rules.storage.validate_attachment_update(obj, old, errs),
    keep_on_update=(SPEC, *KEPT_METADATA),
    apply_reset=(META, SPEC),
    update_order=WHOLE_ALONE,
)

RESOURCES = [
    resource(
        GROUP,
        "CSIDriver",
        "csidrivers",
        "hL6j/rwBV5w=",
        CSI_DRIVER,
    ),
    resource(GROUP, "CSINode", "csinodes", "Pe62DkZtjuo=", CSI_NODE),
    resource(
        GROUP,
        "CSIStorageCapacity",
        "csistoragecapacities",
        "xeVl+2Ly1kE=",
        CAPACITY,
        namespaced=True,
    ),
    resource(GROUP, "StorageClass", "storageclasses", "K+m6uJwbjGY=", STORAGE_CLASS, short_names=("sc",)),
    resource(
        GROUP,
        "VolumeAttachment",
        "volumeattachments",
        "tJx/ezt6UDU=",
        ATTACHMENT,
        status=ATTACHMENT_STATUS,
    ),
    resource(
        GROUP,
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "tIjydgKBC5w=",
        ATTRIBUTES_CLASS,
        short_names=("vac",),
    ),
]
