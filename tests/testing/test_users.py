"""Users with certificates and rights of their own."""

import urllib.error
import urllib.request

import pytest
import yaml

from pilothouse.testing.server import InProcess
from pilothouse.testing.users import CertificateUser

READ_MAPS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]


def code(server: InProcess, user: CertificateUser, path: str) -> int:
    try:
        with urllib.request.urlopen(server.url + path, context=user.context(), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def test_rules_count_in_a_namespace(server: InProcess) -> None:
    jane = server.user("jane", rules=READ_MAPS, namespace="default")
    assert code(server, jane, maps("default")) == 200
    assert code(server, jane, maps("kube-system")) == 403
    assert code(server, jane, "/api/v1/namespaces/default/secrets") == 403


def test_rules_count_everywhere(server: InProcess) -> None:
    jane = server.user("jane", rules=READ_MAPS)
    assert code(server, jane, "/api/v1/configmaps") == 200
    assert code(server, jane, "/api/v1/secrets") == 403


def test_a_role_that_exists(server: InProcess) -> None:
    assert code(server, server.user("jane", role="view", namespace="default"), maps("default")) == 200
    assert code(server, server.user("kim", role="view"), maps("kube-system")) == 200
    assert code(server, server.user("max"), maps("default")) == 403


@pytest.mark.parametrize(
    ("role", "message"), [("viewer", "did you mean 'view'"), ("zzzzzz", "no cluster role is named 'zzzzzz'$")]
)
def test_a_role_that_does_not_exist_is_refused(server: InProcess, role: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.user("lee", role=role, rules=READ_MAPS, namespace="default")
    assert code(server, server.user("lee"), maps("default")) == 403


def test_another_user_has_other_rights(server: InProcess) -> None:
    """Names that differ only in what names of roles cannot hold are not mixed up."""
    one, other = server.user("a/b", rules=READ_MAPS), server.user("a%b")
    assert (code(server, one, maps("default")), code(server, other, maps("default"))) == (200, 403)
    assert one.kubeconfig != other.kubeconfig


def test_groups_are_in_the_certificate(server: InProcess) -> None:
    root = server.user("root", ["ops", "system:masters"])
    assert root.groups == ("ops", "system:masters")
    assert code(server, root, "/api/v1/secrets") == 200


def test_the_kubeconfig_is_that_of_the_user(server: InProcess) -> None:
    jane = server.user("jane")
    config = yaml.safe_load(jane.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"] == server.url
    assert config["users"][0]["name"] == "jane" and "client-key-data" in config["users"][0]["user"]
    assert jane.client_key.stat().st_mode & 0o077 == 0


def test_nothing_is_left_after_a_reset(server: InProcess) -> None:
    jane = server.user("jane", rules=READ_MAPS)
    context = jane.context()
    server.reset()
    assert not jane.kubeconfig.exists() and not jane.client_cert.exists()
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(server.url + maps("default"), context=context, timeout=10)
    assert raised.value.code == 403
    raised.value.close()
