"""`pilothouse snapshot` with the embedded store of a server that runs."""

import pytest

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import Subprocess

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.slow
def test_a_server_goes_on_in_another_directory(capsys: pytest.CaptureFixture[str]) -> None:
    """An object that a client has created is there again; its resourceVersion of before is too old."""
    new = Subprocess(["--storage-backend=sqlite"])
    file = new.directory / "file"
    with Subprocess(["--storage-backend=sqlite"]) as old:
        client = Api(old.kubeconfig)
        client.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"a": "b"}})
        assert cli.main(["snapshot", "save", str(file), f"--data-dir={old.directory}"]) == 0
        late = client.call("POST", CONFIG_MAPS, {"metadata": {"name": "late"}})["metadata"]["resourceVersion"]
        assert cli.main(["snapshot", "restore", str(file), f"--data-dir={new.directory}"]) == 0
        saved, restored = capsys.readouterr().out.split("revision ")[1:]
        assert int(restored.split()[0]) > int(late) >= int(saved.split()[0])
    with new:
        client = Api(new.kubeconfig)
        assert client.call("GET", f"{CONFIG_MAPS}/a")["data"] == {"a": "b"}
        with pytest.raises(ApiError, match="not found"):
            client.call("GET", f"{CONFIG_MAPS}/late")
        with pytest.raises(ApiError, match="is too old"):
            client.call("GET", f"{CONFIG_MAPS}?resourceVersion={late}&resourceVersionMatch=Exact")
