"""The node that the tests of this folder share."""

import os
import pathlib
from collections.abc import Iterator

import pytest
from node.rig.node import Node, wanting

FOLDER = os.environ.get("PILOTHOUSE_NODE_BIN", "")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A cluster of one node; `make test-node` names the folder of its programs."""
    why = wanting(FOLDER)
    if why:
        pytest.skip(why)
    folder = pathlib.Path(FOLDER).absolute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PATH", f"{folder}{os.pathsep}{os.environ['PATH']}"
        )  # a newer containerd may be in it, too
        made = Node(folder, tmp_path_factory.mktemp("node"))
        try:
            made.start()
            yield made
        finally:
            made.stop()
