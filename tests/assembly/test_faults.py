"""Where faults are, and where they are not."""

import pytest

from pilothouse.clusters.guest import EXPLAINED, guest_config
from pilothouse.configuration import options


def test_each_logical_cluster_has_its_own() -> None:
    guest = guest_config(options.parse(["--faults", "--data-dir=d"]), "https://a").diagnostics
    assert guest.faults_ and guest.explained_requests == EXPLAINED
    guest = guest_config(options.parse(["--data-dir=d"]), "https://a").diagnostics
    assert not guest.faults_ and guest.explained_requests == 0


def test_several_processes_have_none() -> None:
    with pytest.raises(options.ConfigError, match="--workers=2 conflicts with --faults"):
        options.parse(["--faults", "--workers=2", "--etcd-servers=https://127.0.0.1:1", "--data-dir=d"])
