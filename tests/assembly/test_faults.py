"""Where faults are, and where they are not."""

import pytest

from pilothouse.clusters.guest import EXPLAINED, guest_config
from pilothouse.configuration import options


def test_each_logical_cluster_has_its_own() -> None:
    """Without faults, its requests are in the journal of all clusters, as many as the server keeps."""
    guest = guest_config(options.parse(["--faults", "--data-dir=d"])).diagnostics
    assert guest.faults_ and guest.explained_requests == EXPLAINED
    given = options.parse(["--data-dir=d"])
    guest = guest_config(given).diagnostics
    assert not guest.faults_ and guest.explained_requests == given.diagnostics.explained_requests > EXPLAINED


def test_several_processes_have_none() -> None:
    with pytest.raises(options.ConfigError, match="--workers=2 conflicts with --faults"):
        options.parse(["--faults", "--workers=2", "--etcd-servers=https://127.0.0.1:1", "--data-dir=d"])
