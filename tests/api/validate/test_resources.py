"""Every cause that names and amounts of resources can have (pkg/apis/core/validation)."""

from pods import POD, pod
from rules import alone, at, below, each, gives, table, valid, within

from pilothouse.api.validate import resources as rules
from pilothouse.api.validate.pod.spec import validate_pod

NEW = within("spec.containers[0].resources", validate_pod)
of = at(POD, "spec.containers.0.resources", {})
claims = each(pod(resourceClaims=[{"name": name, "resourceClaimName": "c"} for name in "ab"]), "spec.containers.0.resources.claims")
POD_NAME = alone(rules.validate_pod_resource_name)
HUGE = "hugepages-2Mi"

test_causes = table([
    *valid(NEW, of(limits={"cpu": "1", "example.com/gpu": "1"}, requests={"cpu": "1", "example.com/gpu": "1"}), claims({"name": "a"}, {"name": "b", "request": "r"})),
    (NEW, of(limits={"odd": "1", "a b": "1", "requests.example.com/a": "1"}), *below("~.limits", '[a b]="a b" : <name part>', '[a b]="a b" : must be a standard resource for containers',
        '[odd]="odd" : <no standard resource>', '[odd]="odd" : must be a standard resource for containers',
        "[requests.example.com/a]=\"requests.example.com/a\" : doesn't follow extended resource name standard")),
    (NEW, of(limits={"example.com/gpu": "500m"}, requests={"example.com/gpu": "500m"}), "~.limits[example.com/gpu] : must be an integer", "~.requests[example.com/gpu] : must be an integer"),
    (NEW, of(requests={"example.com/gpu": "1"}), "~.limits! : Limit must be set for non overcommitable resources"),
    (NEW, of(limits={"example.com/gpu": "2"}, requests={"example.com/gpu": "1"}), '~.requests="1" : must be equal to example.com/gpu limit of 2'),
    (NEW, of(limits={"cpu": "1"}, requests={"cpu": "2"}), '~.requests="2" : must be less than or equal to cpu limit of 1'),
    (NEW, of(limits={HUGE: "2Mi"}, requests={HUGE: "2Mi"}), "~- : HugePages require cpu or memory"),
    (NEW, of(limits={HUGE: "3Mi", "cpu": "1"}), "~.limits[hugepages-2Mi] : 3Mi is not positive integer multiple of hugepages-2Mi"),
    (NEW, of(limits={"hugepages-x": "1", "hugepages-0": "1", "cpu": "1"}), "~.limits[hugepages-0] : 1 is not positive integer multiple of hugepages-0",
        "~.limits[hugepages-x] : 1 is not positive integer multiple of hugepages-x"),
    (NEW, claims({}, {"name": "a"}, {"name": "a"}, {"name": "x"}), "~.claims[0]!", '~.claims[2]="a" unique', '~.claims[3]: Not found: "x": must be one of the names in pod.spec.resourceClaims: a, b'),
    (NEW, claims({"name": "a", "request": "R_"}, {"name": "a", "request": "R_"}, {"name": "a"}), "~.claims[0].request : <RFC 1123 label>", "~.claims[1].request : <RFC 1123 label>",
        '~.claims[1]="a/R_" unique', '~.claims[2]="a" unique'),
    (NEW, claims({"name": "a", "request": "x"}, {"name": "a", "request": "y"}, {"name": "a"}), *['~.claims[2]: Duplicate value: "a"'] * 2),
    (NEW, of(claims=[{"name": "x"}]), '~.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty'),
    (POD_NAME, "cpu"),
    (POD_NAME, "storage", "~ cpu|hugepages-|memory"),
    (POD_NAME, "odd", "~ : <no standard resource>"),
])  # fmt: skip
test_whole_numbers = gives(rules.is_whole, [("1", True), ("1500m", False), ("10E", True), ("9223372036854775807.5", False), ("1e80", True)])
test_extended_resources = gives(rules.is_extended, [("example.com/a", True), ("cpu", False), ("kubernetes.io/a", False), ("requests.a/b", False)])
