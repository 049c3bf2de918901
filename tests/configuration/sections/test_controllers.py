import pathlib

import pytest

from pilothouse.configuration import options
from pilothouse.configuration.options import ConfigError


def test_controllers() -> None:
    assert options.parse([]).runs("namespaces")
    assert not options.parse(["--controllers=-*"]).runs("namespaces")
    only = options.parse(["--controllers=garbage,-namespaces"])
    assert only.runs("garbage") and not only.runs("namespaces") and not only.runs("crds")
    but = options.parse(["--controllers=*,-namespaces"])
    assert but.runs("garbage") and not but.runs("namespaces")
    assert not options.parse([]).runs("csrsigning") and not options.parse(["--controllers=*"]).runs(
        "tokencleaner"
    )
    for name in ("csrsigning", "certificatesigningrequest-signing-controller"):
        asked = options.parse([f"--controllers=*,{name},-garbage-collector-controller"])
        assert asked.runs("csrsigning") and asked.runs("namespace") and not asked.runs("csrapproving")
        assert not asked.runs("garbagecollector")
    assert options.parse([]).runs("garbagecollector")
    assert not options.parse(["--enable-garbage-collector=false"]).runs("garbagecollector")


def test_signing_flags(tmp_path: pathlib.Path) -> None:
    assert options.parse([]).controllers.cluster_signing_duration == 365 * 86400
    (tmp_path / "ca").touch()
    with pytest.raises(ConfigError) as caught:
        options.parse([f"--cluster-signing-cert-file={tmp_path}/ca", "--cluster-signing-duration=1m"])
    assert caught.value.problems == (
        "--cluster-signing-cert-file and --cluster-signing-key-file must be given together",
        "--cluster-signing-duration must be at least 10 minutes",
    )
