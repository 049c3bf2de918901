"""The plugins that flags enable."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilothouse.admission.configuration import AdmissionConfiguration
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.plugins import DEFAULT, OFF, ORDER, PluginDependencies, chain_of
from pilothouse.api.configfile import ConfigurationError
from pilothouse.authz.modes import AlwaysAllow
from pilothouse.configuration import options
from pilothouse.configuration.sections.admission import GATED_PLUGINS, PLUGINS
from pilothouse.outbound.clients import Clients
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.service_resolver import ServiceResolver

AUTHORIZER = AlwaysAllow()
CATALOG = Catalog()
RESOLVER = ServiceResolver(None)


class Nobody:
    """Creates nothing."""

    async def ensure(self, resource: Any, obj: Any) -> None:
        raise AssertionError


def kubeconfig(folder: Path) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        "{clusters: [{name: c, cluster: {server: 'https://localhost'}}], users: [{name: u, user: {token:"
        " secret}}], contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
    )
    return path


def chain(*flags: Any) -> Any:
    config = options.parse(list(flags))
    return chain_of(
        config.admission, config.authorization.modes, AUTHORIZER, CATALOG, Nobody(), Clients(), RESOLVER
    )


def names(*flags: Any) -> Any:
    """Upstream's plugins that are on."""
    return [plugin.name for plugin in chain(*flags).plugins]


def test_the_default_ones_are_on_in_order() -> None:
    assert names("--authorization-mode=RBAC") == [name for name in ORDER if name in DEFAULT]
    assert names()[0] == "NamespaceLifecycle"


def test_every_plugin_has_the_name_that_it_is_known_by(tmp_path: Path) -> None:
    limits = {"apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration"}
    configuration = AdmissionConfiguration(
        {
            "EventRateLimit": limits | {"limits": [{"type": "Server", "qps": 1, "burst": 1}]},
            "ImagePolicyWebhook": {"imagePolicy": {"kubeConfigFile": str(kubeconfig(tmp_path))}},
        }
    )
    parts = PluginDependencies(
        options.parse([]).admission,
        AUTHORIZER,
        CATALOG,
        Nobody(),
        AdmissionMetrics(),
        Clients(),
        RESOLVER,
        configuration,
    )
    assert {name: make(parts).name for name, make in ORDER.items()} == {name: name for name in ORDER}


def test_flags_switch_them() -> None:
    assert "Priority" not in names("--disable-admission-plugins=Priority,LimitRanger")
    assert len(names("--disable-admission-plugins=Priority,LimitRanger")) == len(names()) - 2
    assert names("--enable-admission-plugins=Priority") == names()


def test_settings_reach_their_plugin() -> None:
    plugins = {p.name: p for p in chain("--default-not-ready-toleration-seconds=7").plugins}
    assert plugins["DefaultTolerationSeconds"].seconds["node.kubernetes.io/not-ready"] == 7


CONFIG = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodNodeSelector
  configuration: {podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: a=b}}
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
- name: NoSuchPlugin
  configuration: {}
"""


def test_the_configuration_file_reaches_its_plugins(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    flags = (f"--admission-control-config-file={path}", "--enable-admission-plugins=PodNodeSelector")
    plugins = {p.name: p for p in chain(*flags).plugins}
    assert plugins["PodSecurity"].configuration.defaults.enforce.level == "baseline"
    assert plugins["PodNodeSelector"].selectors == {"clusterDefaultNodeSelector": "a=b"}
    path.write_text(CONFIG.replace("baseline", "none"))
    with pytest.raises(ConfigurationError, match=r"defaults\.enforce"):
        chain(*flags)


def test_some_plugins_need_their_configuration() -> None:
    with pytest.raises(ConfigurationError, match="limits: "):
        chain("--enable-admission-plugins=EventRateLimit")
    with pytest.raises(ConfigurationError, match="no config specified"):
        chain("--enable-admission-plugins=ImagePolicyWebhook")


def test_webhooks_are_called_with_the_credentials_of_their_kubeconfig(tmp_path: Path) -> None:
    path, file = tmp_path / "config.yaml", kubeconfig(tmp_path)
    section = (
        "{apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile:"
        f" {file}}}"
    )
    head = CONFIG.partition("- name")[0]
    path.write_text(f"{head}- name: MutatingAdmissionWebhook\n  configuration: {section}\n")
    plugins = {p.name: p for p in chain(f"--admission-control-config-file={path}").plugins}
    mutating, validating = (
        plugins[f"{kind}AdmissionWebhook"]._caller._parts.users for kind in ("Mutating", "Validating")
    )
    assert mutating.for_host("any:1").headers == [("Authorization", "Bearer secret")]
    assert not validating.for_host("any:1").headers


def test_what_is_off_is_not_imported() -> None:
    program = "import pilothouse.admission.plugins, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pilothouse.admission.podsecurity.plugin" in loaded
    for module in (
        "always",
        "eventratelimit",
        "imagepolicy",
        "ownerreferences",
        "podnodeselector",
        "podtolerations",
    ):
        assert f"pilothouse.admission.{module}" not in loaded


def test_what_is_off_can_be_switched_on() -> None:
    off = OFF - {"EventRateLimit", "ImagePolicyWebhook"}
    flags = [f"--enable-admission-plugins={','.join(sorted(off))}"]
    assert names(*flags) == [name for name in ORDER if name in DEFAULT | off]


def test_every_plugin_of_the_command_line_is_there() -> None:
    assert tuple(ORDER) == PLUGINS
    every = (*PLUGINS, *GATED_PLUGINS)
    assert len(every) == len(set(every)) == 41
    assert names(f"--enable-admission-plugins={','.join(GATED_PLUGINS)}") == names()


def test_kubelets_are_restricted_wherever_they_are_authorized() -> None:
    assert "NodeRestriction" in names()
    assert names().index("NodeRestriction") == names().index("ServiceAccount") + 1
    assert "NodeRestriction" not in names("--authorization-mode=RBAC")
    assert "NodeRestriction" in names(
        "--authorization-mode=RBAC", "--enable-admission-plugins=NodeRestriction"
    )
    assert "NodeRestriction" not in names("--disable-admission-plugins=NodeRestriction")


def test_the_flag_of_old_names_all_plugins() -> None:
    assert names("--admission-control=Priority", "--authorization-mode=RBAC") == ["Priority"]
    assert names("--admission-control=Priority") == ["NodeRestriction", "Priority"]
