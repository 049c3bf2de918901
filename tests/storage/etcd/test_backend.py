import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.contract import StoreContract

from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.testing.etcd import BINARY, EtcdCluster

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")

P = "/registry/pods/"


@pytest.fixture(scope="class")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd"), request.cls.members) as running:
        request.cls.cluster = running
        yield running


@pytest.mark.usefixtures("cluster")
class TestOneMember(StoreContract):
    members = 1
    cluster: EtcdCluster

    def make(self, directory: Path) -> EtcdStorage:
        return EtcdStorage(self.cluster.urls, prefix=f"/{uuid.uuid4()}/registry")


@pytest.mark.slow
class TestThreeMembers(TestOneMember):
    members = 3
