"""`pilothouse completion`: prints a script by which a shell completes commands and flags."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from pilothouse.commands.names import COMMANDS
from pilothouse.configuration.config import all_flags
from pilothouse.configuration.flags import KINDS, Flag, FlagError
from pilothouse.configuration.suggestions import nearest

FLAGS: tuple[Flag, ...] = ()
SERVER_FLAGS = ("help",)
USAGE = """Print a script by which a shell completes commands and flags.

Usage:
  pilothouse completion bash      source <(pilothouse completion bash)
  pilothouse completion zsh       pilothouse completion zsh > "${fpath[1]}/_pilothouse"
  pilothouse completion fish      pilothouse completion fish > ~/.config/fish/completions/pilothouse.fish

It holds the flags of this version: make it anew after an update.
"""


class Words(NamedTuple):
    """The words and flags that may follow a command."""

    words: Sequence[str]
    flags: Sequence[Flag]


def run(arguments: Sequence[str]) -> None:
    """Print the script for a shell; raises FlagError."""
    if len(arguments) == 1 and arguments[0] not in SCRIPTS:
        raise FlagError(
            f'unknown shell "{arguments[0]}" for "pilothouse completion": it has {", ".join(SCRIPTS)}',
            nearest(arguments[0], SCRIPTS),
        )
    if len(arguments) != 1:
        raise FlagError(f'"pilothouse completion" takes the name of a shell: {", ".join(SCRIPTS)}')
    print(SCRIPTS[arguments[0]](_table()), end="")


def _table() -> dict[str, Words]:
    """All commands and what may follow each."""
    known = {flag.name: flag for flag in all_flags() if not flag.deprecated}
    out = {"serve": Words((), tuple(known.values()))}
    for name in COMMANDS:
        command = import_module(f"pilothouse.commands.{name.replace('-', '_')}")
        flags = [*command.FLAGS, *(known[flag] for flag in command.SERVER_FLAGS)]
        if known["help"] not in flags:
            flags.append(known["help"])
        out[name] = Words(tuple(dict.fromkeys(_words(name, command.USAGE))), flags)
    return out | {"version": Words((), ()), "help": Words((), ())}


def _words(name: str, usage: str) -> Iterator[str]:
    """The commands of a command, which its usage lists."""
    for found in re.finditer(rf"^  pilothouse {name} ([a-z]+(?: \| [a-z]+)*)(?= |$)", usage, re.M):
        yield from found[1].split(" | ")


def _spelled(flags: Iterable[Flag]) -> list[str]:
    """Flags as they are typed; a value is expected behind those that end with `=`."""
    return [f"--{flag.name}" + ("" if KINDS[flag.kind].implied else "=") for flag in flags]


def _cases(table: Mapping[str, Words], indent: str) -> str:
    """The branches of a shell's `case` that set `known` to what may follow a command."""
    rows = [
        f"{name}) known='{' '.join((*words.words, *_spelled(words.flags)))}' ;;"
        for name, words in table.items()
    ]
    return "\n".join(indent + row for row in rows)


def _bash(table: Mapping[str, Words]) -> str:
    return f"""# Completion of pilothouse and kube-apiserver for bash.
_pilothouse() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=$1 known
    [[ $command == pilothouse ]] && command=${{COMP_WORDS[1]}} || command=serve
    COMPREPLY=()
    if [[ $word == '=' || $before == '=' ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${{word#=}}")
        return
    fi
    if [[ $1 == pilothouse && $COMP_CWORD == 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{" ".join(table)}' -- "$word")
        return
    fi
    case $command in
{_cases(table, "        ")}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$known" -- "$word")
    [[ ${{COMPREPLY[0]-}} == *= ]] && compopt -o nospace 2> /dev/null
    [[ ${{#COMPREPLY[@]}} -gt 0 || $word == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}}
_kube_apiserver() {{ _pilothouse kube-apiserver; }}
_pilothouse_command() {{ _pilothouse pilothouse; }}
complete -F _pilothouse_command pilothouse
complete -F _kube_apiserver kube-apiserver
"""


def _zsh(table: Mapping[str, Words]) -> str:
    return f"""#compdef pilothouse
# Completion of pilothouse for zsh.
_pilothouse() {{
    local known
    if (( CURRENT == 2 )); then
        compadd -- {" ".join(table)}
        return
    fi
    if [[ $PREFIX == --*=* ]]; then
        compset -P '*='
        _files
        return
    fi
    case $words[2] in
{_cases(table, "        ")}
    esac
    [[ $PREFIX == -* ]] || _files
    compadd -S '' -- ${{(M)${{=known}}:#*=}}
    compadd -- ${{${{=known}}:#*=}}
}}
compdef _pilothouse pilothouse
"""


def _fish(table: Mapping[str, Words]) -> str:
    lines = ["# Completion of pilothouse for fish.", "complete -c pilothouse -n __fish_use_subcommand -f"]
    lines.append(f"complete -c pilothouse -n __fish_use_subcommand -a '{' '.join(table)}'")
    for name, (words, flags) in table.items():
        start = f"complete -c pilothouse -n '__fish_seen_subcommand_from {name}'"
        if words:
            lines.append(f"{start} -f -a '{' '.join(words)}'")
        for flag in flags:
            short = f" -s {flag.short}" if flag.short else ""
            value = "" if KINDS[flag.kind].implied else " -r"
            text = flag.help.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"{start} -l {flag.name}{short}{value} -d '{text}'")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
