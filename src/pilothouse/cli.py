"""Commands: `pilothouse serve | kubeconfig | token | cluster | why | history | etcd | snapshot | ...`,
`kube-apiserver`, and `kubectl history`."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from pilothouse.commands.names import COMMANDS, GROUPS
from pilothouse.process.version import GIT_VERSION

if TYPE_CHECKING:
    from pilothouse.configuration.config import Config


USAGE = """Pilothouse is a Kubernetes API server.

Usage:
  pilothouse serve [flags]       Serve the API; `pilothouse serve --help` lists the flags.
  pilothouse kubeconfig [flags]  Print the administrator's kubeconfig (--data-dir, --secure-port), or one for a user whose
                                 certificate is issued for it (--user, --group, --duration), or for a --token;
                                 --server is the URL in it, --write-kubeconfig the file to write it to.
  pilothouse token create [TOKEN] [flags]
                                 Create a bootstrap token with which kubelets join (--ttl, --groups, --usages,
                                 --description; --write-kubeconfig for kubelet's --bootstrap-kubeconfig).
  pilothouse token list | delete ID...
                                 Look after tokens (all: --kubeconfig or --data-dir of a server that runs).
  pilothouse cluster list | create | copy | snapshot | suspend | wake | delete | kubeconfig | use | export
                                 Look after the logical clusters of a server (serve --clusters), and switch between them.
  pilothouse envtest -- COMMAND  Run a test suite with a logical cluster of its own (KUBECONFIG, USE_EXISTING_CLUSTER), in a
                                 server that suites share.
  pilothouse fork save | show FILE
                                 Save the state of a server in a file from which others start (serve --from-state FILE).
  pilothouse clock [advance DURATION | freeze | thaw]
                                 Tell or move the clock of a server for tests (serve --test-api, --simulate).
  pilothouse why [AUDIT-ID] [flags]
                                 Say why a request was answered as it was; its ID is in the header Audit-Id of the answer.
                                 Without an ID the latest requests are listed (--user, --verb, --resource, --namespace,
                                 --code, --slow, --limit), or the latest of them is explained (--last).
                                 -o json|yaml|wide; --kubeconfig, else $KUBECONFIG.
  pilothouse report [--since 5m] Tell what has happened: faults, hot loops, conflicts, refusals, watch gaps, objects left over,
                                 the requests of each client (-o, --kubeconfig).
  pilothouse history [KIND/NAME] Tell who changed what and when (--user, --manager, --path, --since, --until, -n, -A), where the
                                 server keeps it (serve --history); `history purge KIND/NAME` forgets it (--data-dir).
  pilothouse blame KIND/NAME     Show an object with the change that has set each line.
  pilothouse diff KIND/NAME | CHANGE
                                 Show how an object has changed: by its last change, or between --at and --to.
  pilothouse undo CHANGE | KIND/NAME
                                 Take a change back (--dry-run, --force).
  pilothouse restore KIND/NAME | -n NAMESPACE --all
                                 Make objects as they were (--at, --revision, --selector, --resources, --prune, --dry-run).
  pilothouse etcd COMMAND [flags]  Look after etcd: status, members, alarms, compact, defragment, disarm
                                 (--etcd-servers, --etcd-cafile, --etcd-certfile, --etcd-keyfile).
  pilothouse snapshot save | restore | verify FILE
                                 Back the store up, and put it back (--data-dir, --etcd-servers).
  pilothouse store stat | check | compact
                                 Look after the embedded store (--data-dir).
  pilothouse doctor              Look for what keeps a server from starting, or will (the flags of serve); with --store for
                                 stored objects that clients cannot read (--repair, --remove).
  pilothouse top                 Show what all servers do: rates, latencies, watches, memory, queues (--once, -o, --kubeconfig).
  pilothouse bench               Measure a server: a short sheet that can be compared with another machine's (--kubeconfig, -o).
  pilothouse console             Open the console in a browser with the rights of a kubeconfig (--kubeconfig, --port).
  pilothouse check-config        Tell every error in the flags of serve and in the files that they name, with its line.
  pilothouse completion bash | zsh | fish
                                 Print a script by which a shell completes commands and flags.
  pilothouse version [-o json]   Print the version.

`pilothouse COMMAND --help` says more of each. Exit statuses: 0, 1 when something is wrong or has failed, 2 when the command line
cannot be read.
"""  # noqa: E501


Run = Callable[["Config", Sequence[str]], int]
"""Serves with a configuration until a signal; returns the exit status.
The words start one more such process."""


def version() -> str:
    """The version in kube-apiserver's form: the Kubernetes release that is followed, plus our own."""
    return f"Kubernetes {GIT_VERSION}"


STARTING = 1_000_000
"""Objects after which garbage is collected during a start, which makes hardly any: at Python's own threshold
collections are a tenth of the start."""

COLLECTING = gc.get_threshold()
"""Python's own thresholds."""

WRONG, USAGE_ERROR = 1, 2
"""Exit statuses: something is wrong or has failed; the command line cannot be read. `kube-apiserver` has the
first one for both, as upstream."""


def main(arguments: Sequence[str] | None = None, run: "Run | None" = None) -> int:
    """Run `pilothouse`; returns the exit status. `run` serves in place of a real server."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _while_read(lambda: _main(words, run))


def _main(arguments: Sequence[str], run: "Run | None") -> int:
    command = arguments[0] if arguments else "help"
    if command == "help" and len(arguments) > 1:  # `help token list` is `token --help`
        return _main([arguments[1], "--help"], run)
    if command == "serve":
        return _serve(arguments[1:], "pilothouse serve", run, ours=True)
    if command in COMMANDS:
        return _command(f"pilothouse {command}", command, arguments[1:])
    if command in ("version", "--version"):
        return _version(arguments[1:])
    if command in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    from pilothouse.configuration.suggestions import nearest

    near = nearest(command, ("serve", *COMMANDS, "version", "help"))
    return _fail(f'unknown command "{command}" for "pilothouse"', "pilothouse", nearest=near)


def _version(arguments: Sequence[str]) -> int:
    """Print the version, with -o as all commands do."""
    if not arguments:  # nothing is imported for it
        print(version())
        return 0
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(USAGE, end="")
        return 0
    from pilothouse.commands import output
    from pilothouse.configuration import flags

    try:
        values, rest = flags.parse(arguments, (output.FLAG,))
        if rest:
            raise flags.FlagError(f'"pilothouse version" does not take any arguments, got {list(rest)}')
        form = output.chosen(values.get("output", output.TABLE))
    except flags.FlagError as error:
        return _fail(str(error), "pilothouse", nearest=error.nearest)
    output.tell({"gitVersion": GIT_VERSION}, form, [version()])
    return 0


def kube_apiserver(arguments: Sequence[str] | None = None, run: "Run | None" = None) -> int:
    """Run `kube-apiserver`: the flags of upstream, no commands."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _while_read(lambda: _serve(words, "kube-apiserver", run, ours=False))


def _while_read(command: Callable[[], int]) -> int:
    """Run a command, which ends in silence when nobody reads its output any more, such as `head`."""
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        return 128 + signal.SIGPIPE
    return status


def _fail(problem: str, program: str, status: int = USAGE_ERROR, nearest: Sequence[str] = ()) -> int:
    meant = "".join(f"\t{name}\n" for name in nearest)
    hint = f"\nDid you mean this?\n{meant}\n" if meant else ""
    print(f"Error: {problem}\n{hint}Run '{program} --help' for usage.", file=sys.stderr)
    return status


def _tell(problems: Sequence[str], status: int = WRONG) -> int:
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    return status


def _run(config: "Config", command: Sequence[str]) -> int:
    """Serve in this process, or with --workers in several."""
    from pilothouse.process.core_files import forbid_core_files

    forbid_core_files()
    if config.process.workers > 1:
        from pilothouse.workers import supervisor

        gc.set_threshold(*COLLECTING)  # it runs for long
        return supervisor.run(command, config)
    from pilothouse.assembly import process
    from pilothouse.clusters.kind import kind_of
    from pilothouse.commands import config_start

    found = [str(one) for one in config_start.problems(config) if not one.warning]
    return _tell(found) if found else process.run(config, kind_of(config))


def _serve(arguments: Sequence[str], program: str, run: "Run | None", *, ours: bool) -> int:
    """Serve; `ours` selects the defaults of `pilothouse serve` in place of those of `kube-apiserver`."""
    gc.set_threshold(STARTING)  # until the server has started: process.heap sets it anew
    try:
        return _served(arguments, program, run, ours=ours)
    finally:
        gc.set_threshold(*COLLECTING)


def _served(arguments: Sequence[str], program: str, run: "Run | None", *, ours: bool) -> int:
    from pilothouse import logs
    from pilothouse.configuration import options
    from pilothouse.configuration.config import all_flags
    from pilothouse.configuration.flags import FlagError

    try:
        asked = options.asks_for(arguments)
        if asked == "help":
            width = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
            print(options.help_text(program, width), end="")
            return 0
        if asked == "version":
            print(version())
            return 0
        config = options.parse(arguments, program, ours=ours, upstream=not ours)
        for flag in all_flags():
            if flag.deprecated and flag.name in config.given:
                print(f"Flag --{flag.name} has been deprecated, {flag.deprecated}", file=sys.stderr)
    except FlagError as error:
        return _fail(str(error), program, USAGE_ERROR if ours else WRONG, error.nearest)
    except options.ConfigError as error:
        return _tell(error.problems)
    listener = logs.setup(config.logs.logging_format, config.logs.v, config.logs.vmodule)
    try:
        _tell_ignored(config.ignored())
        settled = [f"--{name}={str(config.value(name)).lower()}" for name in options.OURS]
        return (run or _run)(config, [sys.executable, "-m", "pilothouse", "serve", *arguments, *settled])
    except KeyboardInterrupt:  # before the server took SIGINT over
        return 128 + signal.SIGINT
    finally:
        logs.flush(listener)


def _tell_ignored(names: Sequence[str]) -> None:
    if names:
        from pilothouse.logs import Logger

        Logger(__name__).info("Flags without effect were given", flags=",".join(names))


def kubectl_history(arguments: Sequence[str] | None = None) -> int:
    """Run `kubectl history`, a plugin of kubectl: the commands about the history."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _while_read(lambda: _plugin(words))


def _plugin(arguments: Sequence[str]) -> int:
    from pilothouse.commands import plugin
    from pilothouse.configuration.suggestions import nearest

    name = arguments[0] if arguments else "help"
    if name in ("help", "-h", "--help"):
        print(plugin.USAGE, end="")
        return 0
    if name not in plugin.COMMANDS:
        near = nearest(name, plugin.COMMANDS)
        return _fail(f'unknown command "{name}" for "{plugin.PROGRAM}"', plugin.PROGRAM, nearest=near)
    command, *words = plugin.COMMANDS[name]
    return _command(f"{plugin.PROGRAM} {name}", command, [*words, *arguments[1:]], plugin.renamed)


def _command(
    program: str, name: str, arguments: Sequence[str], renamed: Callable[[str], str] = lambda text: text
) -> int:
    """Run a command of the package `commands`, or print what it is for. `renamed` puts the name of another
    program into texts."""
    from pilothouse.commands.api import ApiError
    from pilothouse.configuration import options
    from pilothouse.configuration.flags import FlagError
    from pilothouse.files import said

    failed = WRONG
    try:
        command = import_module(f"pilothouse.commands.{name.replace('-', '_')}")
        failed = getattr(command, "FAILED", WRONG)
        if not {"-h", "--help"}.isdisjoint(arguments) or (not arguments and name in GROUPS):
            usage = renamed(command.USAGE)
            print(options.command_help(usage, command.FLAGS, command.SERVER_FLAGS), end="")
            return 0
        return command.run(arguments) or 0
    except FlagError as error:
        return _fail(renamed(str(error)), program, nearest=error.nearest)
    except options.ConfigError as error:
        return _fail(str(error), program)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        return _tell([f"{program} needs another package: pip install 'pilothouse[cli]'"])
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ApiError) as error:
        return _tell([said(error)], failed)
