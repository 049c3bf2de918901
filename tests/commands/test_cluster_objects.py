"""Requests for the objects that stand for logical clusters."""

import pytest

from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.cluster_objects import call
from pilothouse.testing.server import InProcess


def test_a_server_without_logical_clusters() -> None:
    with InProcess() as server:
        api = Api(server.kubeconfig)
        for asked in (("GET", ""), ("GET", "a"), ("DELETE", "a")):
            with pytest.raises(
                ApiError, match="serves no logical clusters: start it with --clusters"
            ) as caught:
                call(api, *asked)
            assert caught.value.status == 404


def test_a_server_that_has_no_cluster_of_the_name() -> None:
    with InProcess(["--clusters"]) as server:
        api = Api(server.kubeconfig)
        assert call(api, "GET")["items"] == []
        with pytest.raises(ApiError, match=r'clusters\.pilothouse.dev "a b" not found'):
            call(api, "GET", "a b")
