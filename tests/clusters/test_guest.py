"""A guest has the process's parts, and nothing by which the process is known or configured."""

import pathlib
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest
from clusters.rig import MAPS, ClusterRig, identity_of, running

from pilothouse import pki
from pilothouse.api.values.clock import SYSTEM
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.guest import guest, guest_config, named
from pilothouse.configuration import options
from pilothouse.configuration.sections.authorization import AuthorizationOptions
from pilothouse.storage.memory import MemoryStorage


def changed(part: Any, path: str, value: Any) -> Any:
    """A configuration with another value at a path of members."""
    name, _, rest = path.partition(".")
    return replace(part, **{name: changed(getattr(part, name), rest, value) if rest else value})


@pytest.mark.parametrize(
    "path",
    [
        "authentication.token_auth_file",
        "authentication.client_ca_file",
        "authentication.authentication_token_webhook_config_file",
        "authentication.authentication_config",
        "authentication.request_header.requestheader_client_ca_file",
        "authentication.oidc.oidc_issuer_url",
        "authentication.service_accounts.service_account_signing_key_file",
        "authentication.service_accounts.service_account_signing_endpoint",
        "audit.audit_policy_file",
        "audit.audit_log_path",
        "audit.audit_webhook_config_file",
        "admission.admission_control_config_file",
        "outbound.egress_selector_config_file",
        "outbound.kubelet_certificate_authority",
        "outbound.kubelet_client_certificate",
        "outbound.kubelet_client_key",
        "outbound.proxy_client_cert_file",
        "outbound.proxy_client_key_file",
        "diagnostics.tracing_config_file",
        "store.history_policy_file",
    ],
)
def test_what_a_guest_does_not_have(path: str) -> None:
    default = options.parse([])
    given = changed(default, path, "/a/file")
    made = guest_config(given)
    assert attrgetter(path)(given) == "/a/file"
    assert attrgetter(path)(made) == attrgetter(path)(default)


def test_what_a_guest_has_from_the_server() -> None:
    flags = [
        "--anonymous-auth=false",
        "--enable-bootstrap-token-auth",
        "--service-account-max-token-expiration=2h",
        "--enable-admission-plugins=AlwaysPullImages",
    ]
    given = options.parse(flags)
    made = named(guest_config(given), "/clusters/a", "https://server/clusters/a")
    for flag in flags:
        name = flag.removeprefix("--").partition("=")[0]
        assert made.value(name) == given.value(name) != options.parse([]).value(name), name
    assert made.value("service-account-issuer") == ("https://kubernetes.default.svc/clusters/a",)


def test_the_issuers_of_a_guest_follow_those_of_the_server() -> None:
    flags = ["--service-account-issuer=https://new/", "--service-account-issuer=https://server:6443"]
    made = named(guest_config(options.parse(flags)), "/clusters/a", "https://server:6443/clusters/a")
    assert made.authentication.service_accounts.issuers == (
        "https://new/clusters/a",
        "https://server:6443/clusters/a",
    )
    assert made.authentication.audiences == made.authentication.service_accounts.issuers


def test_a_guest_has_a_quarter_of_the_seats() -> None:
    made = guest_config(options.parse(["--max-requests-inflight=7"]))
    assert made.value("max-requests-inflight") == 2
    assert made.value("max-mutating-requests-inflight") == 50
    none = guest_config(options.parse(["--max-requests-inflight=0"]))
    assert none.value("max-requests-inflight") == 0


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ("Node,RBAC", ("Node", "RBAC")),
        ("AlwaysAllow", ("AlwaysAllow",)),
        ("RBAC,Webhook", None),
        ("ABAC", None),
    ],
)
def test_authorizers_with_files_are_the_servers_own(modes: str, expected: tuple[str, ...] | None) -> None:
    given = changed(options.parse([]), "authorization.authorization_mode", tuple(modes.split(",")))
    made = guest_config(given)
    default = AuthorizationOptions().modes
    assert made.authorization.modes == (expected if expected is not None else default)
    assert "AlwaysAllow" not in made.authorization.modes or modes == "AlwaysAllow"


async def test_parts_of_a_guest(rig: ClusterRig) -> None:
    host, storage = rig.server.host, MemoryStorage()
    config = named(guest_config(host.config), "/clusters/a", "https://server/clusters/a")
    made = guest(host, config, name="a", uid="uid-a", storage=storage, token_key=b"key", clock=SYSTEM)
    assert made.authorities.scope == "uid-a"
    assert made.offload.payer == "cluster uid-a"
    assert made.authorities.proxies == b""
    assert host.authorities.scope == ""
    assert host.authorities.proxies
    assert made.authorities.clients == host.authorities.clients
    for part in ("metrics", "slis", "caches", "reloads", "offload", "health", "storage", "token_key"):
        assert getattr(made, part) is not getattr(host, part), part
    assert made.clients is host.clients
    assert made.told.value("data-dir") != host.told.value("data-dir") == str(rig.data)


async def test_clusters_pay_from_the_memory_of_the_process(rig: ClusterRig, tmp_path: pathlib.Path) -> None:
    async with running(tmp_path / "data", "--max-memory=64Gi") as other:
        await other.make("payer")
        for number in range(3):
            await other.keep("payer", f"long-{number}", k="x" * 200_000)
        budget = other.server.host.memory
        assert budget is not None and budget.charged == 0
        answer = await other.call("GET", f"{MAPS}?limit=2", cluster="payer")
        assert answer.status == 200 and budget.charged == 0
        limit, budget.limit = budget.limit, 1
        answer = await other.call("GET", MAPS, cluster="payer")
        assert answer.status == 429, "its administrators wait as well"
        budget.limit = limit
        assert other.directory.relieve in budget.relievers
        other.directory.relieve()
        assert (await other.call("GET", MAPS, cluster="payer")).status == 200


async def test_the_health_of_a_guest_is_the_process_s(rig: ClusterRig) -> None:
    await rig.make("healthy")
    own, theirs = [await rig.call("GET", "/readyz?verbose", cluster=name) for name in ("", "healthy")]
    assert theirs.status == 200
    assert theirs.body == own.body
    rig.server.host.health.shutting_down = True
    try:
        assert (await rig.call("GET", "/readyz", cluster="healthy")).status == 500
        assert (await rig.call("GET", MAPS, cluster="healthy")).status == 200
    finally:
        rig.server.host.health.shutting_down = False


async def test_a_cluster_is_asked_while_flags_name_files(rig: ClusterRig, tmp_path: pathlib.Path) -> None:
    """The files of the server, such as its static tokens, are not a cluster's."""
    tokens = tmp_path / "tokens.csv"
    tokens.write_text("secret-token,root-user,1,system:masters\n")
    async with running(tmp_path / "data", f"--token-auth-file={tokens}") as other:
        await other.make("files")
        headers: dict[str, Any] = {"authorization": "Bearer secret-token"}
        assert (await other.call("GET", MAPS, **headers)).status == 200
        assert (await other.call("GET", MAPS, cluster="files", **headers)).status == 401


async def test_clusters_follow_the_cas_of_the_server(rig: ClusterRig) -> None:
    await rig.make("follows")
    await rig.call("GET", "/version", cluster="follows")
    other = pki.CertificateAuthority.create("another")
    unit = scope_unit(rig.directory.places["follows"].uid)
    identity = identity_of(*other.issue("jane", ("system:masters",), server=False, unit=unit))
    authorities = rig.server.host.authorities
    before = authorities.clients
    assert (await rig.call("GET", MAPS, cluster="follows", identity=identity)).status == 401
    authorities.trust_clients(before + pki.pem(other.certificate))
    assert (await rig.call("GET", MAPS, cluster="follows", identity=identity)).status == 200
    assert (await rig.call("GET", MAPS, identity=identity)).status == 401
    authorities.trust_clients(before)
    assert (await rig.call("GET", MAPS, cluster="follows", identity=identity)).status == 401
    assert (await rig.call("GET", MAPS, cluster="follows")).status == 200
