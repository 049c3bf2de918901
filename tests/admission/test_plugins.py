"""Which plugins are on."""

from typing import Any

from pilothouse import options
from pilothouse.admission.plugins import DEFAULT, ORDER, chain_of
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.authz.modes import AlwaysAllow
from pilothouse.checks import OTHER_PLUGINS, PLUGINS

AUTHORIZER = AlwaysAllow()


def names(*flags: Any) -> Any:
    """Upstream's plugins that are on; behind them always stands our own."""
    *found, last = [plugin.name for plugin in chain_of(options.parse(list(flags)), AUTHORIZER).plugins]
    assert last == "Unsupported"
    return found


def test_the_default_ones_are_on_in_order() -> None:
    assert names("--authorization-mode=RBAC") == [name for name in ORDER if name in DEFAULT]
    assert names()[0] == "NamespaceLifecycle"


def test_every_plugin_has_the_name_that_it_is_known_by() -> None:
    config = options.parse([])
    assert {name: make(config, AUTHORIZER).name for name, make in ORDER.items()} == {
        name: name for name in ORDER
    }


def test_flags_switch_them() -> None:
    assert "Priority" not in names("--disable-admission-plugins=Priority,LimitRanger")
    assert len(names("--disable-admission-plugins=Priority,LimitRanger")) == len(names()) - 2
    assert names("--enable-admission-plugins=Priority") == names()


def test_settings_reach_their_plugin() -> None:
    config = options.parse(["--default-not-ready-toleration-seconds=7"])
    (plugin,) = [p for p in chain_of(config, AUTHORIZER).plugins if p.name == "DefaultTolerationSeconds"]
    assert isinstance(plugin, DefaultTolerationSeconds)
    assert plugin.seconds["node.kubernetes.io/not-ready"] == 7


def test_every_plugin_of_the_command_line_is_there() -> None:
    assert tuple(ORDER) == PLUGINS
    assert not set(PLUGINS) & set(OTHER_PLUGINS) and len({*PLUGINS, *OTHER_PLUGINS}) == 41


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
