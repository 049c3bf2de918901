"""Cases about services and their endpoints."""

from typing import Any

from workloads.case import SIMULATE, Case, Object, container, template

LABELS = {"app": "site"}


def service(case: Case) -> None:
    """Services over a deployment and pods of their own, which change."""
    draw = case.draw
    ports = [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    pods = template(
        LABELS,
        draw.choice([{"ready-after": "0"}, {"ready-after": "1h"}]),
        containers=[container(ports=ports)],
    )
    spec: Object = {"replicas": draw.choice([0, 1, 3]), "selector": {"matchLabels": LABELS}, "template": pods}
    case.create("Deployment", "site", spec)
    for number in range(draw.choice([1, 2])):
        case.create("Service", f"site-{number}", _service(case), labels=draw.choice([{}, LABELS]))
    if draw.random() < 0.5:
        _odd_pods(case)
    case.rest()
    for _ in range(draw.randrange(3)):
        _change(case)
        case.rest()


def _service(case: Case) -> Object:
    draw = case.draw
    number: Any = draw.choice([80, 8080, "web", "web", "absent"])
    spec: Object = {
        "selector": draw.choice([LABELS, LABELS, LABELS, {"app": "none"}]),
        "ports": [{"name": "a", "port": 80, "targetPort": number}],
    }
    if draw.random() < 0.4:
        spec["ports"].append({"name": "b", "port": 53, "targetPort": "dns", "protocol": "UDP"})
    if draw.random() < 0.2:
        spec["ports"][0]["appProtocol"] = "kubernetes.io/h2c"
    if draw.random() < 0.3:
        spec["clusterIP"] = "None"
        if draw.random() < 0.3:
            spec["ports"] = []
    elif draw.random() < 0.3:
        spec["type"] = draw.choice(["NodePort", "LoadBalancer"])
        if spec["type"] == "LoadBalancer":
            spec["loadBalancerClass"] = "example.com/none"
    if draw.random() < 0.3:
        spec["publishNotReadyAddresses"] = True
    if draw.random() < 0.2:
        spec["sessionAffinity"] = "ClientIP"
    if draw.random() < 0.3:
        spec["trafficDistribution"] = draw.choice(["PreferClose", "PreferSameZone", "PreferSameNode"])
    if draw.random() < 0.15:
        spec = {"type": "ExternalName", "externalName": "example.com"}
    elif draw.random() < 0.15:
        spec.pop("selector")
        spec.pop("publishNotReadyAddresses", None)
    return spec


def _odd_pods(case: Case) -> None:
    """Pods with host names, on the network of their nodes, and one that has ended."""
    named = template(LABELS, hostname="first", subdomain="site-0")["spec"]
    case.create("Pod", "named", named, labels=LABELS)
    case.create("Pod", "host", template(LABELS, hostNetwork=True)["spec"], labels=LABELS)
    ended = template(LABELS, restartPolicy="Never")["spec"]
    case.create("Pod", "ended", ended, labels=LABELS, annotations={SIMULATE + "exit-after": "0"})


def _change(case: Case) -> None:
    draw = case.draw
    choice = draw.choice(["scale", "selector", "publish", "endpoints", "labels", "delete"])
    if choice == "scale":
        case.patch("Deployment", "site", {"spec": {"replicas": draw.choice([0, 2, 4])}})
    elif choice == "selector":
        case.patch("Service", "site-0", {"spec": {"selector": {"app": draw.choice(["site", "none"])}}})
    elif choice == "publish":
        case.patch("Service", "site-0", {"spec": {"publishNotReadyAddresses": draw.choice([True, False])}})
    elif choice == "labels":
        case.patch("Service", "site-0", {"metadata": {"labels": {"new": "label"}}})
    elif choice == "delete":
        case.delete("Service", "site-0")
    else:
        case.create("Service", "mine", {"ports": [{"port": 80}]}, labels={"of": "service"})
        addresses = [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "hostname": "h"}]
        subset = {"addresses": addresses[:1], "notReadyAddresses": addresses[1:], "ports": [{"port": 80}]}
        case.create("Endpoints", "mine", labels={"x": "y"}, top={"subsets": [subset]})
