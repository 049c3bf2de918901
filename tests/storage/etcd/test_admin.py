import asyncio
import pathlib

import pytest

from pilothouse import cli
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.interface import Full, KeyValue
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")

P = "/registry/configmaps/default/"


def do(cluster: EtcdCluster, capsys: pytest.CaptureFixture[str], command: str) -> list[list[str]]:
    assert cli.main(["etcd", command, f"--etcd-servers={','.join(cluster.urls)}"]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_commands(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EtcdCluster(tmp_path) as cluster:
        [_, status] = do(cluster, capsys, "status")
        assert status[0] == cluster.urls[0] and status[1].startswith("3.") and status[-1] == "True"
        [_, member] = do(cluster, capsys, "members")
        assert member[1] == "m0" and member[3] == cluster.urls[0]
        assert do(cluster, capsys, "alarms") == [["MEMBER", "ALARM"]]
        assert do(cluster, capsys, "compact")[1] == ["1"]
        assert do(cluster, capsys, "defragment")[1][0] == cluster.urls[0]
        dead = f"http://127.0.0.1:{free_ports(1)[0]}"
        assert cli.main(["etcd", "status", f"--etcd-servers={cluster.urls[0]},{dead}"]) == 1
        said = capsys.readouterr()
        assert [line.split()[:2] for line in said.out.splitlines()[2:]] == [[dead, "-"]]
        assert said.err == "Error: 1 of 2 members do not answer or have errors\n"
        assert cli.main(["etcd", "dance", f"--etcd-servers={cluster.urls[0]}"]) == 2
        assert 'unknown command "dance" for "pilothouse etcd"' in capsys.readouterr().err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["etcd", "members", f"--etcd-servers=http://127.0.0.1:{free_ports(1)[0]}"]) == 1
    assert "Error: " in capsys.readouterr().err
    assert cli.main(["etcd", "status"]) == 2
    assert "--etcd-servers must be specified" in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_database(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writes get a clear error, deletes go on, and the operator's three commands end it."""
    with EtcdCluster(tmp_path, 1, f"--quota-backend-bytes={16 << 20}") as cluster:

        async def fill() -> list[KeyValue]:
            store = EtcdStorage(cluster.urls)
            await store.start()
            kept = [await store.create(f"{P}{i}", b"x" * 500_000) for i in range(5)]
            with pytest.raises(Full, match="database space exceeded"):  # noqa: PT012 -- it ends the loop
                for _ in range(300):  # the size that counts is that of the last commit of a batch
                    kept[0] = await store.update(kept[0].key, b"x" * 500_000, kept[0].mod)
            assert store.full
            await store.delete(kept[1].key, kept[1].mod)
            await store.delete(kept[2].key, kept[2].mod, last=b"last")
            assert await store.get(kept[1].key) is None
            await store.close()
            return kept

        async def write(kept: list[KeyValue]) -> None:
            store = EtcdStorage(cluster.urls)
            await store.start()
            live = await store.get(kept[0].key)  # etcd may have made the write that it refused for its size
            assert live is not None
            await store.update(live.key, b"y", live.mod)
            assert not store.full
            await store.close()

        kept = asyncio.run(fill())
        assert do(cluster, capsys, "alarms")[1][1] == "NOSPACE"
        do(cluster, capsys, "compact")
        do(cluster, capsys, "defragment")
        assert do(cluster, capsys, "disarm") == [["MEMBER", "ALARM"]]
        asyncio.run(write(kept))
