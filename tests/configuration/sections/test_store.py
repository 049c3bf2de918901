import pytest

from pilothouse.configuration import options


def test_addresses_of_etcd_choose_it() -> None:
    assert options.parse([]).store.backend == "sqlite"
    assert options.parse(["--etcd-servers=http://a:1"]).store.backend == "etcd3"
    assert options.parse(["--etcd-servers=http://a:1", "--storage-backend=memory"]).store.backend == "memory"


def test_resources_in_another_etcd_are_refused() -> None:
    """They would be missing, as the events of a migrated cluster would."""
    flags = ["--etcd-servers=http://a:1", "--etcd-servers-overrides=/events#http://b:1;http://c:1"]
    with pytest.raises(
        options.ConfigError, match=r"^--etcd-servers-overrides=/events#http://b:1;http://c:1 is not"
    ):
        options.parse(flags)
