"""The KMS plugin with gRPC's own client instead of the server's."""

import pathlib
import subprocess
import sys

import grpc
import pytest

from pilothouse.testing.kms import ANNOTATION, KMSPluginServer, main
from pilothouse.wire import message, parse


def call(socket: pathlib.Path, method: str, request: bytes = b"") -> dict[int, bytes]:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/v2.KeyManagementService/{method}"
        )
        answer = ask(request, timeout=5, wait_for_ready=True)
    return dict(parse(answer))


def test_what_is_encrypted_is_decrypted(tmp_path: pathlib.Path) -> None:
    socket, keys = tmp_path / "s", tmp_path / "keys"
    with KMSPluginServer(socket, keys) as plugin:
        assert call(socket, "Status") == {1: b"v2", 2: b"ok", 3: b"key-1"}
        sealed = call(socket, "Encrypt", message((1, b"seed"), (2, b"uid")))
        assert sealed[2] == b"key-1" and b"seed" not in sealed[1]
        assert dict(parse(sealed[3]))[1] == ANNOTATION.encode()
        assert plugin.rotate() == plugin.current == "key-2"
        assert call(socket, "Status")[3] == b"key-2"
    with KMSPluginServer(socket, keys):  # the keys are where they were
        request = message((1, sealed[1]), (2, b"uid"), (3, b"key-1"), (4, sealed[3]))
        assert call(socket, "Decrypt", request) == {1: b"seed"}
        with pytest.raises(grpc.RpcError) as caught:
            call(socket, "Decrypt", message((1, sealed[1]), (3, b"key-2"), (4, sealed[3])))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as caught:
            call(socket, "Decrypt", message((1, sealed[1]), (3, b"key-1")))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert keys.stat().st_mode & 0o77 == 0


def test_as_a_program(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    socket = tmp_path / "s"
    command = [sys.executable, "-m", "pilothouse.testing.kms", str(socket), str(tmp_path / "keys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"endpoint: unix://{socket}\n"
            assert call(socket, "Status")[3] == b"key-1"
        finally:
            process.terminate()
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err
