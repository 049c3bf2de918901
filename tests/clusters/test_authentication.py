"""The issuers of tokens that a Cluster names: its users, and nobody else's."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from clusters.provider import Provider
from clusters.rig import CLUSTERS, MAPS, ClusterRig, bearer, cluster_of
from eventually import aeventually

from pilothouse.api.configfile import ConfigurationError
from pilothouse.authn.configuration import AuthenticationConfiguration
from pilothouse.clusters.authentication import configuration, usable

Object = dict[str, Any]
RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


@pytest.fixture(scope="module")
def provider(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    made = Provider()
    runner.run(made.start(tmp_path_factory.mktemp("provider")))
    yield made
    runner.run(made.stop())


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


async def test_the_request_that_wakes_a_cluster_may_have_a_token(rig: ClusterRig, provider: Provider) -> None:
    await rig.make("sleeper", authentication=provider.spec())
    token = provider.token("jane")
    for _ in range(3):
        assert await who(rig, "sleeper", token) == "tenant:jane"
        await rig.directory.suspend("sleeper")


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
