"""Write controllers/bootstrap_data from dumps of what a fresh kube-apiserver holds.

    python tools/gen_bootstrap.py [--source DIR] [--out DIR]

The source has rbac_bootstrap.json, flowcontrol_bootstrap.json, priorityclass_bootstrap.json and
bootstrap_objects.json; those of release 1.36 are in tools/data/bootstrap.
"""

import argparse
import json
import pathlib
from typing import Any

SOURCE = pathlib.Path(__file__).parent / "data/bootstrap"
OUT = pathlib.Path(__file__).parent.parent / "src/pilothouse/controllers/bootstrap_data"
Object = dict[str, Any]
DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, "
    "but can be moved to another node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}
"""Descriptions of the priority classes; the dump leaves descriptions out."""


def build(source: pathlib.Path = SOURCE) -> dict[str, str]:
    """File name -> content: one file per part, an object a line."""
    rbac = json.loads((source / "rbac_bootstrap.json").read_text())
    flow = json.loads((source / "flowcontrol_bootstrap.json").read_text())
    others = json.loads((source / "bootstrap_objects.json").read_text())
    classes = json.loads((source / "priorityclass_bootstrap.json").read_text())
    parts = {
        "rbac": [obj for kind in sorted(rbac) for obj in rbac[kind]],
        "flowcontrol": [without(obj, "status") for kind in sorted(flow, reverse=True) for obj in flow[kind]],
        "priorityclasses": [{**obj, "description": DESCRIPTIONS[obj["metadata"]["name"]]} for obj in classes],
        "namespaces": [without(obj, "spec", "status") for obj in others["core/v1/namespaces"]],
        "apiservices": [without(obj, "status") for obj in others["apiregistration.k8s.io/v1/apiservices"]],
    }
    return {f"{name}.json": lines(objects) for name, objects in parts.items()}


def without(obj: Object, *members: str) -> Object:
    """The object as it was sent: without members that the server has set, whose times are its own."""
    return {name: value for name, value in obj.items() if name not in members}


def lines(objects: list[Object]) -> str:
    rows = (json.dumps(obj, separators=(",", ":")) for obj in objects)
    return "[\n" + ",\n".join(rows) + "\n]\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate src/pilothouse/controllers/bootstrap_data.")
    parser.add_argument("--source", type=pathlib.Path, default=SOURCE)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    options = parser.parse_args()
    for name, content in build(options.source).items():
        (options.out / name).write_text(content)


if __name__ == "__main__":
    main()
