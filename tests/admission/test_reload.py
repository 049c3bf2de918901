"""Changes of the admission configuration."""

import asyncio
import json
import pathlib
from typing import Any

import pytest
from admission.test_eventratelimit import limit
from admission.test_eventratelimit import section as limits
from admission.test_plugins import kubeconfig

from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.configuration import load
from pilothouse.admission.eventratelimit import EventRateLimit
from pilothouse.admission.podnodeselector import PodNodeSelector
from pilothouse.admission.podsecurity.plugin import PodSecurity
from pilothouse.admission.podtolerations import PodTolerationRestriction
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.admission.reload import AdmissionReload
from pilothouse.admission.webhooks.calling import Caller, WebhookDependencies
from pilothouse.admission.webhooks.validating import ValidatingAdmissionWebhook
from pilothouse.reload import Followed, Follower, Reloads


class Noted(AdmissionPlugin):
    """Notes the sections that it is given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sections: list[Any] = []

    def prepare(self, section: Any) -> Any:
        return lambda: self.sections.append(section)


def selector(text: Any) -> dict[str, Any]:
    return {"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": text}}


def webhooks(path: pathlib.Path) -> dict[str, Any]:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration"}
    return {**head, "kubeConfigFile": str(path)}


class Server:
    def __init__(self, folder: pathlib.Path) -> None:
        self.file, self.named = folder / "config.json", folder / "limits.json"
        self.kubeconfig = kubeconfig(folder)
        self.users: list[Any] = []
        self.named.write_text(json.dumps(limits(limit("Server"))))
        self.write(PodNodeSelector=selector("a=b"))
        found = load(str(self.file))
        self.other = Noted("Other")
        self.selectors = PodNodeSelector(found.section("PodNodeSelector"))
        self.limits = EventRateLimit(found.section("EventRateLimit"))
        webhook = ValidatingAdmissionWebhook(WebhookDependencies(None, None, None, None))
        self.caller: Caller = webhook._caller
        chain = Chain([self.other, self.selectors, self.limits, webhook])
        reload = AdmissionReload(str(self.file), found, chain)
        self.reloads = Reloads()
        self.follower: Follower[Any] = self.reloads.follow(
            Followed(kind="admission", paths=reload.paths, read=reload.read, use=reload.use)
        )

    def write(self, **sections: Any) -> None:
        plugins: list[Any] = [{"name": name, "configuration": found} for name, found in sections.items()]
        plugins.append({"name": "EventRateLimit", "path": self.named.name})
        head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration"}
        self.file.write_text(json.dumps({**head, "plugins": plugins}))

    async def look(self, **sections: Any) -> bool:
        """Write the file, and whether it has come into force."""
        self.write(**sections)
        await self.follower.look(force=True)
        return not self.follower.refused


async def test_what_has_changed_is_told_to_its_plugin(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path)
    limiters = server.limits._limiters
    assert await server.look(PodNodeSelector=selector("c=d"), Other={"a": 1})
    assert server.selectors.selectors == {"clusterDefaultNodeSelector": "c=d"}
    assert server.other.sections == [{"a": 1}]
    assert server.limits._limiters is limiters, "it goes on to count"
    server.named.write_text(json.dumps(limits(limit("User"))))
    assert await server.look(PodNodeSelector=selector("c=d"))
    assert [one._limit.type for one in server.limits._limiters] == ["User"]
    assert server.other.sections == [{"a": 1}, None]


async def test_all_plugins_or_none(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    server = Server(tmp_path)
    server.named.write_text(json.dumps(limits(limit("Nonsense"))))
    assert not await server.look(PodNodeSelector=selector("c=d"), Other={})
    assert server.selectors.selectors == {"clusterDefaultNodeSelector": "a=b"} and server.other.sections == []
    server.named.unlink()
    assert not await server.look(PodNodeSelector=selector("c=d"), Other={})
    assert server.other.sections == []


async def test_credentials_of_webhooks_follow_their_file(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    server = Server(tmp_path)
    section = webhooks(server.kubeconfig)
    assert await server.look(ValidatingAdmissionWebhook=section)
    assert server.caller._parts.users.users["u"] == {"token": "secret"}
    assert str(server.kubeconfig) in server.reloads.followed["admission"]
    server.kubeconfig.write_text(server.kubeconfig.read_text().replace("secret", "other"))
    assert await server.look(ValidatingAdmissionWebhook=section), "the section is the same"
    assert server.caller._parts.users.users["u"] == {"token": "other"}
    server.kubeconfig.write_text("{")
    assert not await server.look(ValidatingAdmissionWebhook=section)
    assert server.caller._parts.users.users["u"] == {"token": "other"}


@pytest.mark.parametrize(
    ("plugin", "section", "shown", "before", "after"),
    [
        (
            PodTolerationRestriction(),
            {
                "apiVersion": "podtolerationrestriction.admission.k8s.io/v1alpha1",
                "kind": "Configuration",
                "default": [{"key": "a"}],
            },
            lambda plugin: plugin._default,
            [],
            [{"key": "a"}],
        ),
        (
            PodSecurity(),
            {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {"enforce": "baseline"},
            },
            lambda plugin: plugin.configuration.defaults.enforce.level,
            "privileged",
            "baseline",
        ),
        (
            ResourceQuota(),
            {"limitedResources": [{"resource": "pods", "matchContains": ["pods"]}]},
            lambda plugin: [one.resource for one in plugin.limited],
            [],
            ["pods"],
        ),
    ],
)
def test_a_plugin_changes_when_it_is_told_to(
    plugin: Any, section: Any, shown: Any, before: Any, after: Any
) -> None:
    use = plugin.prepare(section)
    assert shown(plugin) == before
    use()
    assert shown(plugin) == after
    plugin.prepare(None)()
    assert shown(plugin) == before
