"""apps/v1: deployments, replica sets, stateful sets, daemon sets, controller revisions."""

from pilothouse.api import names
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    SPEC,
    STATUS_APART,
    resource,
    scale,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "apps"

DEPLOYMENT = Strategy(**COUNTS_SPEC, **STATUS_APART)
REPLICA_SET = Strategy(**COUNTS_SPEC, **STATUS_APART)
STATEFUL_SET = Strategy(name_check=names.dns_label, **COUNTS_SPEC, **STATUS_APART)
DAEMON_SET = Strategy(**COUNTS_SPEC, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP, "v1", "ControllerRevision", "controllerrevisions", "85nkx63pcBU=", Strategy(), namespaced=True
    ),
    resource(
        GROUP,
        "v1",
        "DaemonSet",
        "daemonsets",
        "dd7pWHUlMKQ=",
        DAEMON_SET,
        namespaced=True,
        short_names=("ds",),
        categories=("all",),
        status=status_strategy(DAEMON_SET),
    ),
    resource(
        GROUP,
        "v1",
        "Deployment",
        "deployments",
        "8aSe+NMegvE=",
        DEPLOYMENT,
        namespaced=True,
        short_names=("deploy",),
        categories=("all",),
        subresources=(scale(),),
        status=status_strategy(
            DEPLOYMENT,
            keep_on_update=(SPEC, ("metadata", "labels")),
            apply_reset=(SPEC, ("metadata", "labels")),
        ),
    ),
    resource(
        GROUP,
        "v1",
        "ReplicaSet",
        "replicasets",
        "P1RzHs8/mWQ=",
        REPLICA_SET,
        namespaced=True,
        short_names=("rs",),
        categories=("all",),
        subresources=(scale(),),
        status=status_strategy(REPLICA_SET),
    ),
    resource(
        GROUP,
        "v1",
        "StatefulSet",
        "statefulsets",
        "H+vl74LkKdo=",
        STATEFUL_SET,
        namespaced=True,
        short_names=("sts",),
        categories=("all",),
        subresources=(scale(),),
        status=status_strategy(STATEFUL_SET),
    ),
]
