"""EgressSelectorConfiguration: what is accepted, and what is said of the rest."""

import json
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate, new_key, private

from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.egress import ProxyDialer
from pilothouse.outbound.egress_config import Egress, EgressConfigError, Switched, files, load
from pilothouse.outbound.konnectivity import KonnectivityDialer
from pilothouse.outbound.metrics import EgressMetrics

V1BETA1 = "apiserver.k8s.io/v1beta1"


def read(folder: Path, text: str) -> Egress:
    path = folder / "egress.yaml"
    path.write_text(text)
    return load(str(path), EgressMetrics())


def config(*selections: Any, version: str = V1BETA1) -> str:
    return json.dumps(
        {"apiVersion": version, "kind": "EgressSelectorConfiguration", "egressSelections": list(selections)}
    )


def selection(name: str, protocol: str = "HTTPConnect", transport: Any = None) -> Any:
    connection = {"proxyProtocol": protocol, **({} if transport is None else {"transport": transport})}
    return {"name": name, "connection": connection}


UDS = {"uds": {"udsName": "/run/proxy.sock"}}
DIRECT = selection("cluster", "Direct")


@pytest.mark.parametrize("version", [V1BETA1, "apiserver.k8s.io/v1alpha1"])
def test_names_and_protocols(tmp_path: Path, version: str) -> None:
    text = config(
        DIRECT, selection("master", transport=UDS), selection("etcd", transport=UDS), version=version
    )
    found = read(tmp_path, text)
    assert type(found.cluster) is Dialer
    assert isinstance(found.controlplane, ProxyDialer)
    assert isinstance(found.etcd, ProxyDialer)
    assert read(tmp_path, config(DIRECT)).etcd is None
    assert load("", EgressMetrics()).etcd is None


def test_a_proxy_with_tls(tmp_path: Path) -> None:
    key = new_key()
    (tmp_path / "c").write_bytes(certificate(key))
    (tmp_path / "k").write_bytes(private(key))
    tls = {"caBundle": f"{tmp_path}/c", "clientCert": f"{tmp_path}/c", "clientKey": f"{tmp_path}/k"}
    tcp = {"tcp": {"url": "https://127.0.0.1:8131", "tlsConfig": tls}}
    assert isinstance(read(tmp_path, config(selection("Cluster", transport=tcp))).cluster, ProxyDialer)
    (tmp_path / "k").write_bytes(b"")
    said = (
        'failed to setup egress selector: failed to create dialer for egressSelection "cluster": failed to'
        " read key pair"
    )
    with pytest.raises(EgressConfigError, match=said):
        read(tmp_path, config(selection("cluster", transport=tcp)))
    tls["caBundle"] = f"{tmp_path}/k"
    with pytest.raises(EgressConfigError, match="failed to read cert file"):
        read(tmp_path, config(selection("cluster", transport=tcp)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Object 'Kind' is missing in ''"),
        ("kind: A", "Object 'apiVersion' is missing in '{\"kind\":\"A\"}'"),
        (
            "kind: DaemonSet\napiVersion: apps/v1",
            (
                'no kind "DaemonSet" is registered for version "apps/v1" in scheme '
                '"k8s.io/apiserver/pkg/server/egressselector/config.go:33"'
            ),
        ),
        ("a: {", "couldn't get version/kind; json parse error: "),
        (
            (
                f"kind: EgressSelectorConfiguration\napiVersion: {V1BETA1}\negressSelections:\n- foo: {{bar:"
                " baz}"
            ),
            'strict decoding error: unknown field "egressSelections[0].foo"',
        ),
        (
            (
                f"kind: EgressSelectorConfiguration\napiVersion: {V1BETA1}\negressSelections:"
                " []\negressSelections: []"
            ),
            (
                'strict decoding error: yaml: unmarshal errors:\n  line 4: key "egressSelections" already set'
                " in map"
            ),
        ),
        (config({"name": 1}), "egressSelections[0].name: it must be a string"),
        (config({"connection": []}), "egressSelections[0].connection: it must be an object"),
        (
            f"kind: EgressSelectorConfiguration\napiVersion: {V1BETA1}\negressSelections: 1",
            "egressSelections: it must be a list",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(EgressConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"failed to read egress selector config: {said}")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EgressConfigError) as caught:
        load(f"{tmp_path}/none", EgressMetrics())
    assert str(caught.value) == (
        "failed to read egress selector config: unable to read egress selector configuration from "
        f'"{tmp_path}/none" [open {tmp_path}/none: No such file or directory]'
    )


@pytest.mark.parametrize(
    ("selections", "said"),
    [
        (
            [selection("cluster", "Direct", UDS)],
            'service.connection.transport: Invalid value: "direct": config must be absent for direct connect',
        ),
        (
            [selection("cluster", "X")],
            (
                'service.connection.protocol: Unsupported value: "X": supported values: "Direct",'
                ' "HTTPConnect", "GRPC"'
            ),
        ),
        (
            [{}],
            (
                '[service.connection.protocol: Unsupported value: "": supported values: "Direct",'
                ' "HTTPConnect", "GRPC", service.connection: Unsupported value: "": supported values:'
                ' "cluster", "controlplane", "etcd"]'
            ),
        ),
        (
            [selection("other", "Direct")],
            (
                'service.connection: Unsupported value: "other": supported values: "cluster", "controlplane",'
                ' "etcd"'
            ),
        ),
        ([DIRECT, selection("CLUSTER", "Direct")], 'service.connection[1]: Duplicate value: "cluster"'),
        (
            [selection("cluster")],
            "service.connection.transport: Required value: transport must be set for HTTPConnect",
        ),
        (
            [selection("cluster", transport={})],
            "service.connection.tcp: Required value: One of TCP or UDS must be set",
        ),
        (
            [selection("cluster", transport={**UDS, "tcp": {"url": "http://h:1"}})],
            (
                'service.connection.tcp: Invalid value: {"URL":"http://h:1","TLSConfig":null}: TCP and UDS'
                " cannot both be set"
            ),
        ),
        (
            [selection("cluster", transport={"uds": {}})],
            'service.connection.udsName: Invalid value: "nil": must be present for UDS connections',
        ),
        (
            [selection("cluster", "GRPC")],
            "service.connection.transport: Required value: transport must be set for GRPC",
        ),
        (
            [selection("cluster", "GRPC", {"tcp": {}})],
            "service.connection.uds: Required value: UDS must be set with GRPC",
        ),
        (
            [selection("cluster", "GRPC", {"uds": {}})],
            'service.connection.udsName: Invalid value: "nil": must be present for UDS connections',
        ),
        (
            [selection("cluster", transport={"tcp": {"url": "h:1"}})],
            (
                'service.connection.url: Invalid value: "h:1": supported connection protocols are http:// and'
                " https://"
            ),
        ),
        (
            [selection("cluster", transport={"tcp": {"url": "http://h:1", "tlsConfig": {}}})],
            'service.connection.tlsConfig: Invalid value: "nil": config must not be present when using HTTP',
        ),
        (
            [selection("cluster", transport={"tcp": {"url": "https://h:1"}})],
            "service.connection.tlsConfig: Required value: TLSConfig must be present when using HTTPS",
        ),
        (
            [selection("cluster", transport={"tcp": {"url": "https://h:1", "tlsConfig": {}}})],
            (
                '[service.connection.tlsConfig.clientCert: Invalid value: "nil": Using TLS requires'
                ' clientCert, service.connection.tlsConfig.clientKey: Invalid value: "nil": Using TLS'
                " requires requires clientKey]"
            ),
        ),
        (
            [
                selection(
                    "cluster",
                    transport={
                        "tcp": {
                            "url": "https://h:1",
                            "tlsConfig": dict.fromkeys(("caBundle", "clientCert", "clientKey"), "/no"),
                        }
                    },
                )
            ],
            (
                '[service.connection.tlsConfig.caBundle: Invalid value: "/no": TLS config ca bundle does not'
                ' exist, service.connection.tlsConfig.clientCert: Invalid value: "/no": TLS client cert does'
                ' not exist, service.connection.tlsConfig.clientKey: Invalid value: "/no": TLS client key'
                " does not exist]"
            ),
        ),
    ],
)
def test_selections_that_are_not_valid(tmp_path: Path, selections: Any, said: str) -> None:
    with pytest.raises(EgressConfigError) as caught:
        read(tmp_path, config(*selections))
    assert str(caught.value) == f"failed to validate egress selector configuration: {said}"


@pytest.mark.parametrize("url", ["http://h", "http://:1", "http://h:x"])
def test_proxies_without_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(
        EgressConfigError, match=f'egressSelection "etcd": invalid proxy server url "{url}": '
    ):
        read(tmp_path, config(selection("etcd", transport={"tcp": {"url": url}})))


def test_a_konnectivity_server(tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, config(selection("cluster", "GRPC", UDS))).cluster, KonnectivityDialer)


def test_the_files_that_it_names(tmp_path: Path) -> None:
    tls = {member: str(tmp_path / member) for member in ("caBundle", "clientCert", "clientKey")}
    for path in tls.values():
        Path(path).touch()
    transport = {"tcp": {"url": "https://p:1", "tlsConfig": tls}}
    file = tmp_path / "egress.yaml"
    file.write_text(config(selection("etcd", transport=transport), DIRECT))
    assert files(str(file)) == [str(file), *tls.values()]
    file.write_text("{")
    assert files(str(file)) == [str(file)]


def test_dialers_are_exchanged(tmp_path: Path) -> None:
    def made(*names: str) -> Egress:
        return read(tmp_path, config(*(selection(name, transport=UDS) for name in names)))

    with_etcd, without = Switched.over(made("etcd")), Switched.over(made("cluster"))
    new = made("cluster", "etcd")
    with pytest.raises(EgressConfigError, match="etcd is new: it needs a restart"):
        without.use(new)
    with_etcd.use(new)
    assert with_etcd.cluster._dialer is new.cluster and with_etcd.etcd._dialer is new.etcd
    with_etcd.use(made())
    assert type(with_etcd.etcd._dialer) is Dialer, "straight to etcd from now on"
