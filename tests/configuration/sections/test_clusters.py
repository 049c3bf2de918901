"""The settings of logical clusters."""

import pytest

from pilothouse.configuration import options
from pilothouse.configuration.options import ConfigError


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--clusters", "--workers=2", "--etcd-servers=http://a:1"], "--workers=2 conflicts with --clusters"),
        (
            ["--clusters", "--test-api", "--etcd-servers=http://a:1"],
            "--test-api conflicts with --etcd-servers",
        ),
        (["--clusters-max=1"], "--clusters-max needs --clusters"),
        (["--clusters-profiles=fleet"], "--clusters-profiles needs --clusters"),
        (["--clusters-from-state", "--from-state=f"], "--clusters-from-state needs --clusters"),
        (["--clusters-from-state", "--clusters"], "--clusters-from-state needs --from-state"),
        (["--clusters", "--clusters-max=-1"], "--clusters-max"),
        (["--clusters", "--clusters-idle-timeout=-1s"], "--clusters-idle-timeout"),
        (["--clusters", "--clusters-max-bytes=many"], "--clusters-max-bytes"),
        (["--clusters", "--clusters-domain=a..b"], "--clusters-domain 'a..b' is not the name of a domain"),
        (["--clusters", "--clusters-profiles=A"], "--clusters-profiles 'A' is not the name of a namespace"),
        (["--clusters", f"--clusters-profiles={'a' * 64}"], "is not the name of a namespace"),
    ],
)
def test_faults(flags: list[str], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.parse(flags)
    assert any(fault in problem for problem in caught.value.problems), caught.value.problems


def test_settings() -> None:
    found = options.parse(["--clusters", "--clusters-max-bytes=2Ki", "--clusters-profiles=fleet"]).clusters
    assert (found.clusters, found.most_bytes, found.clusters_profiles) == (True, 2048, "fleet")
    assert options.parse([]).clusters.clusters_profiles == ""


def test_servers_may_share_clusters() -> None:
    assert options.parse(["--clusters", "--etcd-servers=http://a:1"]).store.others_write
