import pathlib

import pytest

from pilothouse.configuration import options


def test_one_ca_of_clients_and_of_front_proxies(tmp_path: pathlib.Path) -> None:
    """Then each client could say that it is a front proxy, unless their names are given."""

    def pem(*bodies: str) -> str:
        return "".join(f"-----BEGIN CERTIFICATE-----\n{one}\n-----END CERTIFICATE-----\n" for one in bodies)

    clients, proxies = tmp_path / "clients.crt", tmp_path / "proxies.crt"
    clients.write_text("# a comment\n" + pem("aGVs\nbG8=", "d29ybGQ="))
    arguments = [
        f"--client-ca-file={clients}",
        f"--requestheader-client-ca-file={proxies}",
        "--requestheader-username-headers=X-Remote-User",
    ]
    proxies.write_text(pem("b3RoZXI="))
    options.parse(arguments)
    proxies.write_text(pem("b3RoZXI=", "aGVsbG8="))
    with pytest.raises(options.ConfigError, match="overlapping certificates; --requestheader-allowed-names"):
        options.parse(arguments)
    options.parse([*arguments, "--requestheader-allowed-names=front-proxy-client"])
