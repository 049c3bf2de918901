"""Write controllers/bootstrap_data from dumps of what a fresh kube-apiserver holds.

usage: gen_bootstrap.py DIRECTORY, which has rbac_bootstrap.json, flowcontrol_bootstrap.json,
priorityclass_bootstrap.json and bootstrap_objects.json.
"""

import json
import pathlib
import sys
from typing import Any

TARGET = pathlib.Path(__file__).parent.parent / "src/pilothouse/controllers/bootstrap_data"
Object = dict[str, Any]
DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, "
    "but can be moved to another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}
"""Of the priority classes; the dump leaves descriptions out."""


def main(source: pathlib.Path) -> None:
    """Write one file per part, an object a line."""
    rbac = json.loads((source / "rbac_bootstrap.json").read_text())
    flow = json.loads((source / "flowcontrol_bootstrap.json").read_text())
    others = json.loads((source / "bootstrap_objects.json").read_text())
    write("rbac", [obj for kind in sorted(rbac) for obj in rbac[kind]])
    write("flowcontrol", [without_status(obj) for kind in sorted(flow, reverse=True) for obj in flow[kind]])
    classes = json.loads((source / "priorityclass_bootstrap.json").read_text())
    write(
        "priorityclasses", [{**obj, "description": DESCRIPTIONS[obj["metadata"]["name"]]} for obj in classes]
    )
    write("namespaces", others["core/v1/namespaces"])
    services = others["apiregistration.k8s.io/v1/apiservices"]
    write("apiservices", [without_status(obj) for obj in services])


def without_status(obj: Object) -> Object:
    """The object as it was sent; times in the status are of that server."""
    return {name: value for name, value in obj.items() if name != "status"}


def write(name: str, objects: list[Object]) -> None:
    lines = (json.dumps(obj, separators=(",", ":")) for obj in objects)
    (TARGET / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
