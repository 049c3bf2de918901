"""Cases about the scheduler: each has the small nodes for itself."""

from typing import Any

from workloads.case import Case, Object, container

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
SMALL: Object = {"nodeSelector": {"pool": "small"}, "tolerations": [{"key": "pool", "operator": "Exists"}]}
"""A pod of the small nodes: three with 2 CPU and 4 GiB, one in each zone."""


def placing(case: Case) -> None:
    """A few pods, one after the other, under constraints."""
    case.alone = True
    draw = case.draw
    for number in range(draw.choice([1, 2, 3, 5])):
        _pod(case, number)
        case.rest(1.5)
    if draw.random() < 0.4:
        case.delete("Pod", "p-0")
        case.rest(2.0)


def _pod(case: Case, number: int) -> None:
    draw = case.draw
    requests = draw.choice(
        [{}, {"cpu": "500m"}, {"cpu": "1500m"}, {"memory": "3Gi"}, {"cpu": "4"}, {"nvidia.com/gpu": "1"}]
    )
    if "nvidia.com/gpu" in requests:
        resources: Object = {"requests": requests, "limits": requests}
    else:
        resources = {"requests": requests}
    ports = [{"containerPort": 80, "hostPort": 8080}] if draw.random() < 0.15 else []
    spec: Object = {**SMALL, "containers": [container(resources=resources, ports=ports)]}
    for choose in draw.sample(CONSTRAINTS, draw.choice([0, 1, 1, 2])):
        choose(case, spec)
    labels = {"app": draw.choice(["a", "b"])}
    case.create("Pod", f"p-{number}", spec, labels=labels)


def _term(**labels: str) -> Object:
    return {"labelSelector": {"matchLabels": labels}}


def _merge(spec: Object, kind: str, rules: Object) -> None:
    spec.setdefault("affinity", {}).setdefault(kind, {}).update(rules)


def _selector(case: Case, spec: Object) -> None:
    zone = case.draw.choice(["a", "b", "c", "nowhere"])
    spec["nodeSelector"] = {**spec["nodeSelector"], ZONE: zone}


def _node_affinity(case: Case, spec: Object) -> None:
    draw = case.draw
    one: Object = {"key": ZONE, "operator": draw.choice(["In", "NotIn"]), "values": ["a", "b"]}
    if draw.random() < 0.3:
        one = {"key": "disk", "operator": draw.choice(["Exists", "DoesNotExist"])}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [one]}]}
    if draw.random() < 0.3:
        terms = {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["small-1"]}]}
            ]
        }
    _merge(spec, "nodeAffinity", {"requiredDuringSchedulingIgnoredDuringExecution": terms})


def _affinity(case: Case, spec: Object) -> None:
    one = {
        **_term(app=case.draw.choice(["a", "b"])),
        "topologyKey": case.draw.choice([HOSTNAME, ZONE, "absent"]),
    }
    kind = case.draw.choice(["podAffinity", "podAntiAffinity", "podAntiAffinity"])
    _merge(spec, kind, {"requiredDuringSchedulingIgnoredDuringExecution": [one]})


def _taint(case: Case, spec: Object) -> None:
    spec["tolerations"] = [
        case.draw.choice([{"key": "pool", "value": "other"}, {"key": "other", "operator": "Exists"}])
    ]


def _spread(case: Case, spec: Object) -> None:
    draw = case.draw
    one: Object = {
        "maxSkew": draw.choice([1, 2]),
        "topologyKey": draw.choice([HOSTNAME, ZONE, "absent"]),
        "whenUnsatisfiable": draw.choice(["DoNotSchedule", "DoNotSchedule", "ScheduleAnyway"]),
        **_term(app=draw.choice(["a", "b"])),
    }
    if one["whenUnsatisfiable"] == "DoNotSchedule" and draw.random() < 0.3:
        one["minDomains"] = draw.choice([2, 4])
    spec["topologySpreadConstraints"] = [one]


def _gate(case: Case, spec: Object) -> None:
    spec["schedulingGates"] = [{"name": "example.com/gate"}]


def _named(case: Case, spec: Object) -> None:
    name: Any = case.draw.choice(["small-0", "small-2"])
    spec["nodeSelector"] = {**spec["nodeSelector"], HOSTNAME: name}


CONSTRAINTS = [_selector, _node_affinity, _affinity, _affinity, _taint, _spread, _spread, _gate, _named]


def preemption(case: Case) -> None:
    """Pods that fill the small nodes, and a more important one."""
    case.alone = True
    draw = case.draw
    for name, value in (("low", 10), ("high", 1000)):
        policy = {"preemptionPolicy": draw.choice(["PreemptLowerPriority", "PreemptLowerPriority", "Never"])}
        case.create("PriorityClass", f"{case.namespace}-{name}", top={"value": value, **policy})
    for number in range(3):
        spec = {**SMALL, "priorityClassName": f"{case.namespace}-{draw.choice(['low', 'low', 'high'])}"}
        spec["containers"] = [container(resources={"requests": {"cpu": draw.choice(["1500m", "1900m"])}})]
        case.create("Pod", f"low-{number}", {**spec, "nodeName": None}, labels={"app": "low"})
        case.rest(1.0)
    if draw.random() < 0.4:
        case.create(
            "PodDisruptionBudget", "low", {"selector": {"matchLabels": {"app": "low"}}, "minAvailable": 3}
        )
        case.rest(1.0)
    spec = {**SMALL, "priorityClassName": f"{case.namespace}-high"}
    spec["containers"] = [container(resources={"requests": {"cpu": draw.choice(["1", "2", "3"])}})]
    case.create("Pod", "high", spec, labels={"app": "high"})
    case.rest(3.0)
