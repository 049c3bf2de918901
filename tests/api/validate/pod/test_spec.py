"""Pods that are refused: messages and their order."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.pod.options import NEW
from pilothouse.api.validate.pod.resources import quality_of_service
from pilothouse.api.validate.pod.scheduling import validate_node_selector, validate_tolerations
from pilothouse.api.validate.pod.spec import validate_pod, validate_pod_spec, validate_pod_template_spec
from pilothouse.api.validate.pod.update import validate_ephemeral_update, validate_pod_update, validate_resize
from pilothouse.api.validate.pod.warnings import pod_warnings


def container(name: str = "c", **more: object) -> Object:
    return {"name": name, "image": "i", "resources": {}, "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", **more}


def pod(*containers: Object, **spec: object) -> Object:
    whole = {
        "containers": list(containers) or [container()],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        **spec,
    }
    return {"metadata": {"name": "p", "namespace": "d"}, "spec": whole, "status": {}}


def causes(obj: Object) -> list[tuple[str, str]]:
    errs = Errors()
    validate_pod(obj, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


def changes(check: object, new: Object, old: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(new, old, errs)  # type: ignore[operator]
    return [(c["field"], c["message"]) for c in errs.causes]


def test_plain_pod() -> None:
    assert causes(pod()) == []


def test_no_containers() -> None:
    empty = pod()
    empty["spec"]["containers"] = []
    assert causes(empty) == [("spec.containers", "Required value")]


@pytest.mark.parametrize(("bad", "field", "message"), [
    ({"image": ""}, "spec.containers[0].image", "Required value"),
    ({"imagePullPolicy": "Sometimes"}, "spec.containers[0].imagePullPolicy", 'Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"'),
    ({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, "spec.containers[0].volumeMounts[0].name", 'Not found: "v"'),
    ({"ports": [{"containerPort": 70000, "protocol": "TCP"}]}, "spec.containers[0].ports[0].containerPort", "Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "spec.containers[0].resources.requests", 'Invalid value: "2": must be less than or equal to cpu limit of 1'),
    ({"env": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}, "spec.containers[0].env[0].valueFrom",
        'Invalid value: "": may not be specified when `value` is not empty'),
])  # fmt: skip
def test_bad_container(bad: Object, field: str, message: str) -> None:
    assert (field, message) in causes(pod(container(**bad)))


def test_doubled_names() -> None:
    doubled = pod(container(), container())
    assert causes(doubled) == [("spec.containers[1].name", 'Duplicate value: "c"')]


def test_template_must_be_at_home_at_its_path() -> None:
    errs = Errors()
    template = {"metadata": {}, "spec": pod(restartPolicy="Perhaps")["spec"]}
    validate_pod_template_spec(template, "spec.template", errs, NEW)
    assert [c["field"] for c in errs.causes] == ["spec.template.spec.restartPolicy"]


@pytest.mark.parametrize(("toleration", "message"), [
    ({"operator": "Equal"}, "operator must be Exists when `key` is empty"),
    ({"key": "k", "operator": "Exists", "value": "v"}, "value must be empty when `operator` is 'Exists'"),
    ({"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
])  # fmt: skip
def test_tolerations(toleration: Object, message: str) -> None:
    errs = Errors()
    validate_tolerations([toleration], "t", errs)
    assert message in " ".join(c["message"] for c in errs.causes)


def test_node_selector_needs_a_term() -> None:
    errs = Errors()
    validate_node_selector({}, "n", errs)
    text = "Required value: must have at least one node selector term"
    assert [(c["field"], c["message"]) for c in errs.causes] == [("n.nodeSelectorTerms", text)]


def test_an_update_may_change_the_image_only() -> None:
    old = pod()
    new = pod(container(image="other"))
    assert changes(validate_pod_update, new, old) == []
    new["spec"]["restartPolicy"] = "Never"
    [(field, message)] = changes(validate_pod_update, new, old)
    assert field == "spec"
    assert message.startswith("Forbidden: pod updates may not change fields other than `spec.containers[*].image`")


def test_containers_may_not_come_by_update() -> None:
    assert changes(validate_pod_update, pod(container(), container("d")), pod()) == [("spec.containers", "Forbidden: pod updates may not add or remove containers")]


def test_ephemeral_containers_only_grow() -> None:
    debug = {**container("debug"), "targetContainerName": "c"}
    old, new = pod(ephemeralContainers=[debug]), pod()
    [(field, message)] = changes(validate_ephemeral_update, new, old)
    assert (field, message.split(":")[0]) == ("spec.ephemeralContainers", "Forbidden")
    assert changes(validate_ephemeral_update, old, new) == []


def test_resize_may_not_change_the_class() -> None:
    old = pod(container(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}))
    old["status"] = {"phase": "Running", "qosClass": "Burstable"}
    new = copy.deepcopy(old)
    both = {"cpu": "1", "memory": "1Gi"}
    new["spec"]["containers"][0]["resources"] = {"requests": both, "limits": both}
    assert any("QOS" in message.upper() for _, message in changes(validate_resize, new, old))


@pytest.mark.parametrize(
    ("resources", "wanted"), [({}, "BestEffort"), ({"requests": {"cpu": "1"}}, "Burstable"), ({"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1000m", "memory": "1"}}, "Guaranteed")]
)
def test_quality_of_service(resources: Object, wanted: str) -> None:
    assert quality_of_service(pod(container(resources=resources))["spec"]) == wanted


def test_warnings() -> None:
    warned = pod(container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]))
    assert pod_warnings(warned) == ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply']
    assert pod_warnings(pod()) == []


_SCALARS = st.one_of(st.text(max_size=5), st.integers(-3, 70000))
_NAMES = st.text(alphabet="abc-_.A", max_size=6)


@given(name=_NAMES, port=st.integers(-5, 70000), cpu=st.sampled_from(["0", "1", "-1", "1m"]), key=_NAMES, mount=st.text(alphabet="/.a:", max_size=5))
def test_whatever_comes_is_judged_not_crashed(name: str, port: int, cpu: str, key: str, mount: str) -> None:
    odd = container(name, ports=[{"containerPort": port, "protocol": "TCP", "name": name}], resources={"limits": {"cpu": cpu}}, volumeMounts=[{"name": name, "mountPath": mount}])
    spec = pod(odd, nodeSelector={key: name}, volumes=[{"name": name, "emptyDir": {}}])["spec"]
    errs = Errors()
    validate_pod_spec(spec, "spec", errs)
    assert all(c["field"].startswith("spec") and c["message"] for c in errs.causes)
