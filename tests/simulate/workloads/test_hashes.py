"""The names of stateful sets' revisions are those that kube-controller-manager gives them."""

from typing import Any

from pilothouse.simulate.workloads.hashes import revision_hash, template_hash


def revision() -> Any:
    """The data of a revision of which a kube-controller-manager v1.36 has made the hash db84d9b86."""
    container = {
        "command": ["sh", "-c", "a && b > /x < y"],
        "env": [{"name": "X", "value": "é\u2028<"}],
        "image": "nginx",
        "imagePullPolicy": "Always",
        "name": "c",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "readinessProbe": {
            "failureThreshold": 3,
            "httpGet": {"path": "/?a=b&c", "port": 80, "scheme": "HTTP"},
            "periodSeconds": 10,
            "successThreshold": 1,
            "timeoutSeconds": 1,
        },
        "resources": {"requests": {"cpu": "100m"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    spec = {
        "containers": [container],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "volumes": [{"emptyDir": {}, "name": "v"}],
    }
    metadata = {"labels": {"app": "s"}, "annotations": {"z": "1", "a": "2"}}
    return {"spec": {"template": {"spec": spec, "metadata": metadata, "$patch": "replace"}}}


def test_the_hash_of_a_revision_is_upstream_s() -> None:
    assert revision_hash(revision(), 0) == "db84d9b86"
    assert revision_hash(revision(), 1) != "db84d9b86"


def test_a_template_has_the_same_hash_in_any_order() -> None:
    assert template_hash({"a": 1, "b": 2}) == template_hash({"b": 2, "a": 1}) != template_hash({"a": 1}, 1)
