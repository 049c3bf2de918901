"""`pilothouse report` with a server."""

import json

import pytest

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess


def test_the_report_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with InProcess(["--controllers=-*"]) as server:
        with pytest.raises(ApiError):
            Api(server.kubeconfig).call("GET", "/api/v1/namespaces/none")
        arguments = f"--kubeconfig={server.kubeconfig}", "--since=1h"
        assert cli.main(["report", *arguments]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert (
            '  get /api/v1/namespaces/none by kubernetes-admin: 404 NotFound: namespaces "none" not found'
            in lines
        )
        assert cli.main(["report", *arguments, "-o", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["refused"][0]["path"] == "/api/v1/namespaces/none"
        assert cli.main(["report", arguments[0], "--since=never"]) == 1
        assert "never" in capsys.readouterr().err
        assert cli.main(["report", arguments[0], "more"]) == 2
