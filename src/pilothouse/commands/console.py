"""`pilothouse console`: opens the console in a browser, with the rights of a kubeconfig."""

import asyncio
import errno
import secrets
import signal
import webbrowser
from collections.abc import Callable, Sequence

from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.console_proxy import ConsoleProxy
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Whose rights. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, ~/.kube/config."),
    Flag("port", "int", 0, "command", "The port on 127.0.0.1; 0: one that is free."),
    Flag("open", "bool", True, "command", "Open the console in a browser."),
)  # fmt: skip
USAGE = """Open the console of a server in a browser, with the rights of a kubeconfig: without a token to paste and a certificate to import.

Usage:
  pilothouse console [--kubeconfig FILE] [--port PORT] [--open=false]

It passes the requests of the browser on to the server, from an address on the loopback that only this command has told, until
Ctrl-C. Everybody who knows the address has the rights of the kubeconfig. The server must have the console (--console=true, which is the
default of `pilothouse serve`).
"""  # noqa: E501


def run(arguments: Sequence[str]) -> None:
    """Serve until a signal; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse console" does not take any arguments, got {list(rest)}')
    if not 0 <= values["port"] <= 65535:
        raise FlagError("--port must be between 0 and 65535")
    path = kubeconfig_of(config.data, values["kubeconfig"])
    api = Api(path)
    try:
        api.text("/console/")
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(
            f"{api.config.server} has no console: it was started without --console=true, or is no Pilothouse"
        ) from None
    proxy = ConsoleProxy(api.config, secrets.token_urlsafe(16))

    def tell(address: str) -> None:
        print(
            f"The console of {api.config.server} with the rights of {path}, until Ctrl-C:\n{address}",
            flush=True,
        )
        if values["open"]:
            webbrowser.open(address)

    asyncio.run(_serve(proxy, values["port"], tell))


async def _serve(proxy: ConsoleProxy, port: int, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, once the address has been told."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        async with proxy.serving(port) as address:
            tell(address)
            await ended.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(f"127.0.0.1:{port}: address already in use: choose another --port") from None
