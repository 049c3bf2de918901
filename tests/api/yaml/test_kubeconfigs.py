import base64

import pytest
import yaml

from pilothouse.api.yaml import kubeconfigs

NAMES = ["kubernetes-admin", "yes", "null", "12", "a: b", "- a", '"\\', " ", "#", "a-b\n"]
NAMES.append("\u00fc\U0001f600\x7f\u2028\n")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_as_they_are(name: str) -> None:
    document = yaml.safe_load(kubeconfigs.of_user("https://a:1", b"ca", cert=b"c", key=b"k", user=name))
    pair = {"client-certificate-data": "Yw==", "client-key-data": "aw=="}
    assert document["users"] == [{"name": name, "user": pair}]
    document = yaml.safe_load(kubeconfigs.of_user("https://a:1", b"ca", token=name, name=name, user="u"))
    assert document["users"] == [{"name": "u", "user": {"token": name}}]
    assert document["contexts"] == [{"name": name, "context": {"cluster": name, "user": "u"}}]
    assert document["current-context"] == name


@pytest.mark.parametrize("server", ["https://127.0.0.1:6443/clusters/a", "https://[::1]:6443", "a: b"])
def test_a_server_and_its_ca(server: str) -> None:
    cluster = {"certificate-authority-data": base64.b64encode(b"ca").decode(), "server": server}
    document = yaml.safe_load(kubeconfigs.of_user(server, b"ca"))
    assert document["clusters"] == [{"name": "pilothouse", "cluster": cluster}]
    assert document["users"] == [{"name": "kubernetes-admin", "user": {}}]
    document = yaml.safe_load(kubeconfigs.of_cluster(server, b"ca"))
    assert document["clusters"] == [{"name": "", "cluster": cluster}]
