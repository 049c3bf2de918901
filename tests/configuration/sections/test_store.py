from pilothouse.configuration import options


def test_addresses_of_etcd_choose_it() -> None:
    assert options.parse([]).store.backend == "sqlite"
    assert options.parse(["--etcd-servers=http://a:1"]).store.backend == "etcd3"
    assert options.parse(["--etcd-servers=http://a:1", "--storage-backend=memory"]).store.backend == "memory"
