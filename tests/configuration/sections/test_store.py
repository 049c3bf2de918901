import pytest

from pilothouse.configuration import options


def test_addresses_of_etcd_choose_it() -> None:
    assert options.parse([]).store.backend == "sqlite"
    assert options.parse(["--etcd-servers=http://a:1"]).store.backend == "etcd3"
    assert options.parse(["--etcd-servers=http://a:1", "--storage-backend=memory"]).store.backend == "memory"


def test_durability_of_leases() -> None:
    assert options.parse([]).store.lease_durability == "strict"
    assert options.parse(["--lease-durability=relaxed"]).store.lease_durability == "relaxed"
    with pytest.raises(
        options.ConfigError, match="--lease-durability invalid, allowed values: strict, relaxed"
    ):
        options.parse(["--lease-durability=none"])
    for other in (["--storage-backend=memory"], ["--etcd-servers=http://a:1"]):
        with pytest.raises(options.ConfigError, match="relaxed is for the built-in store, and the store is "):
            options.parse(["--lease-durability=relaxed", *other])


def test_resources_in_another_etcd_are_refused() -> None:
    """They would be missing, as the events of a migrated cluster would."""
    flags = ["--etcd-servers=http://a:1", "--etcd-servers-overrides=/events#http://b:1;http://c:1"]
    with pytest.raises(
        options.ConfigError, match=r"^--etcd-servers-overrides=/events#http://b:1;http://c:1 is not"
    ):
        options.parse(flags)
