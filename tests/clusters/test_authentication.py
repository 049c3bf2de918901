"""The issuers of tokens that a Cluster names: its users, and nobody else's."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from clusters.rig import CLUSTERS, MAPS, ClusterRig, bearer, cluster_of
from eventually import aeventually

from pilothouse import pki
from pilothouse.api.configfile import ConfigurationError
from pilothouse.authn import keys
from pilothouse.authn.configuration import AuthenticationConfiguration
from pilothouse.clusters.authentication import configuration, usable

Object = dict[str, Any]
RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


class Provider:
    """An OpenID Connect provider: its two documents over TLS, and tokens."""

    def __init__(self) -> None:
        self.authority = pki.CertificateAuthority.create("identities")
        self.key = keys.new_private()
        self.asked: list[str] = []
        self.url = ""

    async def start(self, folder: Any) -> None:
        cert, key = self.authority.issue("identities", hosts=("127.0.0.1",), server=True)
        path = folder / "provider.pem"
        path.write_bytes(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(path)
        document: Object = keys.jwks(keys.load_public(self.key))
        if path != "/keys":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    def token(self, user: str) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "tenant", "sub": user, "exp": now + 600, "iat": now}
        return keys.load_private(self.key).sign(claims)

    def spec(self, prefix: str = "tenant:") -> Object:
        """The member `authentication` of a Cluster."""
        issuer = {
            "url": self.url,
            "audiences": ["tenant"],
            "certificateAuthority": pki.pem(self.authority.certificate).decode(),
        }
        return {
            "jwt": [{"issuer": issuer, "claimMappings": {"username": {"claim": "sub", "prefix": prefix}}}]
        }


@pytest.fixture(scope="module")
def provider(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    made = Provider()
    runner.run(made.start(tmp_path_factory.mktemp("provider")))
    yield made
    made.stop()


async def who(rig: ClusterRig, cluster: str, token: str) -> str:
    """The name of the user that a token is for, "" for none."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await rig.call("POST", path, {}, cluster=cluster, authorization=bearer(token))
    return str(answer.body["status"]["userInfo"]["username"]) if answer.status == 201 else ""


async def test_a_tenants_users_are_known_in_its_cluster_only(rig: ClusterRig, provider: Provider) -> None:
    await rig.make("mine", authentication=provider.spec())
    await rig.make("theirs")
    token = provider.token("jane")

    async def known() -> bool:
        return await who(rig, "mine", token) == "tenant:jane"

    await aeventually(known, "the provider's keys")
    assert await who(rig, "theirs", token) == await who(rig, "", token) == ""
    assert (await rig.call("GET", MAPS, cluster="mine", authorization=bearer(token))).status == 403
    subject = {"kind": "User", "name": "tenant:jane", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "jane"}, "subjects": [subject], "roleRef": role}
    await rig.ok("POST", RBAC, binding, cluster="mine")
    assert (await rig.call("GET", MAPS, cluster="mine", authorization=bearer(token))).status == 200


async def test_issuers_change_while_the_cluster_is_in_memory(rig: ClusterRig, provider: Provider) -> None:
    await rig.make("changes")
    token = provider.token("joe")
    assert await who(rig, "changes", token) == ""
    for given, expected in ((provider.spec(), "tenant:joe"), (provider.spec("new:"), "new:joe"), (None, "")):
        patch = {"spec": {"authentication": given}}
        kind = "application/merge-patch+json"
        await rig.ok("PATCH", f"{CLUSTERS}/changes", patch, content_type=kind)

        async def known(expected: str = expected) -> bool:
            return await who(rig, "changes", token) == expected

        await aeventually(known, f"the user is {expected!r}")


async def test_a_cluster_that_is_woken_knows_them(rig: ClusterRig, provider: Provider) -> None:
    await rig.make("sleeps", authentication=provider.spec())
    token = provider.token("jane")
    await rig.call("GET", "/version", cluster="sleeps")
    await rig.directory.suspend("sleeps")

    async def known() -> bool:
        return await who(rig, "sleeps", token) == "tenant:jane"

    await aeventually(known, "the provider's keys")


def issuer(url: str, **more: Any) -> Object:
    """An authenticator of an issuer."""
    mappings = {"username": {"claim": "sub", "prefix": ""}}
    return {"issuer": {"url": url, "audiences": ["a"], **more}, "claimMappings": mappings}


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (issuer("http://plain.example"), "https"),
        ({"issuers": {}}, 'unknown field "jwt[0].issuers"'),
        (issuer("https://kubernetes.default.svc/clusters/bad"), "disallowed issuer"),
        (issuer("https://a", egressSelectorType="cluster"), "jwt[0].issuer.egressSelectorType"),
    ],
)
async def test_what_cannot_be_used_is_refused(rig: ClusterRig, one: Object, said: str) -> None:
    answer = await rig.call("POST", CLUSTERS, cluster_of("bad", authentication={"jwt": [one]}))
    assert answer.status == 422, answer
    (cause,) = answer.body["details"]["causes"]
    assert cause["field"] == "spec.authentication" and said in cause["message"]


async def test_an_update_is_judged_and_one_that_changes_nothing_is_not(
    rig: ClusterRig, provider: Provider
) -> None:
    await rig.make("judged")
    patch = {"spec": {"authentication": {"jwt": [{"issuer": {"url": "nothing"}}]}}}
    kind = "application/merge-patch+json"
    answer = await rig.call("PATCH", f"{CLUSTERS}/judged", patch, content_type=kind)
    assert answer.status == 422
    patch = {"spec": {"authentication": provider.spec()}}
    await rig.ok("PATCH", f"{CLUSTERS}/judged", patch, content_type=kind)
    await rig.ok("PATCH", f"{CLUSTERS}/judged", {"metadata": {"labels": {"a": "b"}}}, content_type=kind)


def test_nothing_is_made_of_nothing() -> None:
    assert configuration(None, ()) == configuration({}, ()) == AuthenticationConfiguration()


def test_what_is_stored_and_unusable_has_no_issuers() -> None:
    given = {"jwt": [issuer("https://own")]}
    assert len(usable(given, (), "a").jwt) == 1
    with pytest.raises(ConfigurationError):
        configuration(given, ("https://own",))
    assert usable(given, ("https://own",), "a") == AuthenticationConfiguration()
