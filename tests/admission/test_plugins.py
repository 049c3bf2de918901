"""Which plugins are on."""

from pilothouse import options
from pilothouse.admission.plugins import DEFAULT, ORDER, chain_of


def names(*flags):
    return [plugin.name for plugin in chain_of(options.parse(list(flags))).plugins]


def test_the_default_ones_are_on_in_order():
    assert names() == [name for name in ORDER if name in DEFAULT]
    assert names()[0] == "NamespaceLifecycle"


def test_every_plugin_has_the_name_that_it_is_known_by():
    config = options.parse([])
    assert {name: make(config).name for name, make in ORDER.items()} == {name: name for name in ORDER}


def test_flags_switch_them():
    assert "Priority" not in names("--disable-admission-plugins=Priority,LimitRanger")
    assert len(names("--disable-admission-plugins=Priority,LimitRanger")) == len(names()) - 2
    assert names("--enable-admission-plugins=Priority") == names()


def test_settings_reach_their_plugin():
    config = options.parse(["--default-not-ready-toleration-seconds=7"])
    (plugin,) = [p for p in chain_of(config).plugins if p.name == "DefaultTolerationSeconds"]
    assert plugin.seconds["node.kubernetes.io/not-ready"] == 7
