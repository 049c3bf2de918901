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
    made = Node(pathlib.Path(FOLDER).absolute(), tmp_path_factory.mktemp("node"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
