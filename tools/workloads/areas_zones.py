"""Cases about hints by zones: which part of a service's endpoints is for each zone."""

from workloads.case import Case, Object, template

from pilothouse.simulate.workloads.endpoints.zones import MODE, OLD_MODE, ZONE

LABELS = {"app": "spread"}
TOLERATES = [{"key": "pool", "operator": "Exists"}]
"""Pods of the zone whose nodes are tainted need it."""
COUNTS = {"a": (0, 1, 3, 8, 12), "b": (1, 3, 8, 12), "c": (0, 1, 1, 2)}
"""How many pods the zones may have."""


def zones(case: Case) -> None:
    """Services over a deployment in each zone, which grow and shrink, and ask for hints and then do not."""
    draw = case.draw
    case.zones = True
    for zone, counts in COUNTS.items():
        labels = {**LABELS, "zone": zone}
        pods = template(labels, nodeSelector={ZONE: zone}, tolerations=TOLERATES)
        spec = {"replicas": draw.choice(counts), "selector": {"matchLabels": labels}, "template": pods}
        case.create("Deployment", f"in-{zone}", spec)
    for number in range(draw.choice([1, 2])):
        _service(case, f"site-{number}")
    case.rest()
    for _ in range(draw.randrange(1, 4)):
        _change(case)
        case.rest()


def _notes(case: Case) -> dict[str, str]:
    """Annotations that mostly ask for hints."""
    draw = case.draw
    notes = {MODE: draw.choice(["Auto", "Auto", "Auto", "auto", "Disabled", "AUTO"])}
    if draw.random() < 0.2:
        notes[OLD_MODE] = draw.choice(["Auto", "Disabled"])
    return notes if draw.random() < 0.9 else {}


def _service(case: Case, name: str) -> None:
    draw = case.draw
    spec: Object = {"selector": LABELS, "ports": [{"port": 80}]}
    if draw.random() < 0.2:
        spec["trafficDistribution"] = "PreferClose"
    if draw.random() < 0.2:
        spec["clusterIP"] = "None"
    case.create("Service", name, spec, annotations=_notes(case))


def _change(case: Case) -> None:
    draw = case.draw
    choice = draw.choice(["scale", "scale", "scale", "ask", "stop", "delete"])
    if choice == "scale":
        zone = draw.choice(sorted(COUNTS))
        case.patch("Deployment", f"in-{zone}", {"spec": {"replicas": draw.choice(COUNTS[zone])}})
    elif choice == "ask":
        case.patch("Service", "site-0", {"metadata": {"annotations": {MODE: "Auto"}}})
    elif choice == "stop":
        case.patch("Service", "site-0", {"metadata": {"annotations": {MODE: None, OLD_MODE: None}}})
    else:
        case.delete("Service", "site-0")
