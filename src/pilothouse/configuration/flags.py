"""Parses command lines with pflag's syntax and error messages."""

import csv
import ipaddress
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pilothouse.configuration.suggestions import nearest
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen
from pilothouse.process.version import dynamic_version


class FlagError(ValueError):
    """A command line that cannot be read; the text is pflag's. `nearest`: names that may have been meant."""

    def __init__(self, text: str, nearest: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.nearest = nearest


@frozen
class Flag:
    """One flag: `kind` is its type in KINDS, `default` the typed value;
    without `effective` it has no effect."""

    name: str
    kind: str
    default: Any
    group: str
    help: str
    effective: bool = True
    short: str = ""
    deprecated: str = ""


@frozen
class FlagType:
    """How a type of flag is read: `parse(text, value so far)`; `implied` stands for a missing text."""

    shown: str
    parse: Callable[[str, Any], Any]
    implied: str | None = None
    default: str = ""


READ_ONLY = "read-only"
"""The console that changes nothing."""
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def duration(text: str) -> float:
    """Read a Go duration such as `1m30s`, in seconds (time.ParseDuration)."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    sign = -1.0 if text.startswith("-") else 1.0
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    for match in re.finditer(r"(\d+\.?\d*|\.\d+)([^\d.]*)", rest):
        if match.start() != at:
            break
        at = match.end()
        if not match[2]:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if match[2] not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(match[2])} in duration {quote(text)}")
        total += float(match[1]) * _UNITS[match[2]]
    if not rest or at != len(rest):
        raise ValueError(f"time: invalid duration {quote(text)}")
    return sign * total


def show_duration(seconds: float) -> str:
    """Write seconds as Go writes a duration: `1m0s`, `1.5s`, `500ms`."""
    if seconds == 0:
        return "0s"
    if abs(seconds) < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return ("-" if seconds < 0 else "") + f"{text}{rest:g}s"


def _bool(text: str, _: Any) -> bool:
    if text not in _TRUE and text not in _FALSE:
        raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
    return text in _TRUE


def _int(text: str, _: Any) -> int:
    if not re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|0[bB][01]+|[1-9][0-9]*)", text):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    octal = re.fullmatch(r"([+-]?)0([0-7]+)", text)
    value = int(octal[1] + octal[2], 8) if octal else int(text, 0)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def _float(text: str, _: Any) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None


def _ip(text: str, _: Any) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"failed to parse IP: {quote(text)}") from None


def _strings(text: str, before: tuple[str, ...] | None) -> tuple[str, ...]:
    try:
        values = next(csv.reader([text]), []) if text else []
    except csv.Error as error:
        raise ValueError(f"parse error on line 1: {error}") from None
    return (*(before or ()), *values)


def _ints(text: str, before: tuple[int, ...] | None) -> tuple[int, ...]:
    return (*(before or ()), *(_int(part, None) for part in text.split(",")))


def _pairs(text: str, problem: Callable[[str], str]) -> Iterable[tuple[str, str]]:
    for pair in text.split(","):
        if not pair:
            continue
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(problem(pair))
        yield key.strip(), value.strip()


def _map(text: str, before: Mapping[str, str] | None) -> Mapping[str, str]:
    return {**(before or {}), **dict(_pairs(text, lambda _: "malformed pair, expect string=string"))}


def _configuration(text: str, before: Mapping[str, str] | None) -> Mapping[str, str]:
    """Pairs, or keys alone, which have an empty value (component-base ConfigurationMap)."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {**(before or {}), **{key.strip(): value.strip() for key, _, value in pairs}}


def _string_to_string(text: str, before: Mapping[str, str] | None) -> Mapping[str, str]:
    """One pair, whose key and value may have commas, or several as one line of CSV (pflag StringToString)."""
    several = text.count("=") > 1
    out = dict(before or {})
    for pair in next(csv.reader([text]), []) if several else [text.strip('"')]:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair} must be formatted as key=value")
        out[key] = value
    return out


def _gates(text: str, before: Mapping[str, bool] | None) -> Mapping[str, bool]:
    """Feature gates: `Name=bool`, or `component:Name=bool` for this component (`kube`)."""
    out = dict(before or {})
    for key, value in _pairs(text, lambda pair: f"missing bool value for {pair}"):
        component, colon, name = key.partition(":")
        if colon and component != "kube":
            raise ValueError(f"component not registered: {component}")
        try:
            out[name if colon else key] = _bool(value, None)
        except ValueError as error:
            raise ValueError(f"invalid value of {key}={value}, err: {error}") from None
    return out


def _port_range(text: str, _: Any) -> tuple[int, int]:
    """First and last port of `first-last`, `first+count` or a single one."""
    match = re.fullmatch(r"(\d+)(?:([-+])(\d+))?", text.strip())
    if match is None:
        raise ValueError(f"unable to parse port range: {text}: expected port, first-last or first+count")
    first = int(match[1])
    last = first if not match[3] else int(match[3]) if match[2] == "-" else first + int(match[3])
    if first > 65535 or last > 65535:
        raise ValueError(f"the port range cannot be greater than 65535: {text}")
    if last < first:
        raise ValueError(f"end port cannot be less than start port: {text}")
    return first, last


def _cert_key(text: str, before: tuple[Any, ...] | None) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """SNI pairs: `cert,key` or `cert,key:name,name`, as (certificate, key, names)."""
    files, _, names = text.partition(":")
    pair = files.split(",")
    if len(pair) != 2 or not all(pair):
        raise ValueError("expected comma separated certificate and key file paths")
    return (
        *(before or ()),
        (pair[0].strip(), pair[1].strip(), tuple(n.strip() for n in names.split(",") if n)),
    )


def _version(text: str, _: Any) -> str:
    """`raw`, a version to report, or a boolean as text (component-base verflag)."""
    if text == "raw":
        return text
    return dynamic_version(text) if text.startswith("v") else str(_bool(text, None)).lower()


def _console(text: str, _: Any) -> bool | str:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text != READ_ONLY:
        raise ValueError(f'must be "true", "false" or "{READ_ONLY}"')
    return text


def _vmodule(text: str, _: Any) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(
            (p, int(n))
            for p, n in _pairs(text, lambda _: "syntax error: expect comma-separated list of filename=N")
        )
    except ValueError as error:
        if "syntax error" in str(error):
            raise
        raise ValueError("syntax error: expect comma-separated list of filename=N") from None


KINDS: Mapping[str, FlagType] = MappingProxyType(
    {
        "bool": FlagType("", _bool, "true"),
        "int": FlagType("int", _int),
        "float": FlagType("float", _float),
        "string": FlagType("string", lambda text, _: text),
        "file": FlagType("string", lambda text, _: text),
        "ip": FlagType("ip", _ip),
        "duration": FlagType("duration", lambda text, _: duration(text)),
        "strings": FlagType("strings", _strings),
        "stringArray": FlagType("stringArray", lambda text, before: (*(before or ()), text)),
        "files": FlagType("stringArray", lambda text, before: (*(before or ()), text)),
        "ints": FlagType("int32Slice", _ints),
        "map": FlagType("mapStringString", _map),
        "configuration": FlagType("mapStringString", _configuration),
        "stringToString": FlagType("stringToString", _string_to_string),
        "gates": FlagType("colonSeparatedMultimapStringString", _gates),
        "portRange": FlagType("portRange", _port_range),
        "certKey": FlagType("namedCertKey", _cert_key),
        "quantity": FlagType("quantity", lambda text, _: text),
        "level": FlagType("Level", _int),
        "vmodule": FlagType("pattern=N,...", _vmodule),
        "version": FlagType("version[=true]", _version, "true"),
        "console": FlagType("mode[=true]", _console, "true"),
    }
)


def _norm(name: str) -> str:
    return name.replace("_", "-")


def parse(arguments: Sequence[str], flags: Iterable[Flag]) -> tuple[dict[str, Any], list[str]]:
    """Read arguments into {name: typed value} of the flags that were given, and the arguments that are none.

    `--flag=value`, `--flag value`, `-flag value` and `-vN` are read; underscores count as hyphens. A list
    flag that is repeated grows. Raises FlagError at the first thing that cannot be read.
    """
    by_name = {flag.name: flag for flag in flags}
    by_short = {flag.short: flag for flag in by_name.values() if flag.short}
    given: dict[str, Any] = {}
    rest: list[str] = []
    queue = list(reversed(arguments))
    while queue:
        argument = queue.pop()
        if argument == "--":
            rest.extend(reversed(queue))
            break
        if len(argument) < 2 or argument[0] != "-":
            rest.append(argument)
            continue
        flag, shown, text = _find(argument, by_name, by_short)
        kind = KINDS[flag.kind]
        if text is None:
            text = kind.implied
        if text is None:
            if not queue:
                raise FlagError(f"flag needs an argument: {shown}")
            text = queue.pop()
        try:
            given[flag.name] = kind.parse(text, given.get(flag.name))
        except ValueError as error:
            label = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
            raise FlagError(f"invalid argument {quote(text)} for {quote(label)} flag: {error}") from None
    return given, rest


def _find(
    argument: str, by_name: Mapping[str, Flag], by_short: Mapping[str, Flag]
) -> tuple[Flag, str, str | None]:
    """The flag of one argument, how a message names it, and the value within the argument."""
    double = argument.startswith("--")
    name, equals, value = argument[2 if double else 1 :].partition("=")
    if double and (not name or name[0] in "-="):
        raise FlagError(f"bad flag syntax: {argument}")
    flag = by_name.get(_norm(name))
    if flag is not None and (double or len(name) > 1):
        return flag, argument, value if equals else None
    if double:
        raise FlagError(f"unknown flag: --{name}", [f"--{one}" for one in nearest(_norm(name), by_name)])
    flag = by_short.get(argument[1])
    if flag is None:
        raise FlagError(f"unknown shorthand flag: {argument[1]!r} in {argument}")
    inline = argument[2:].removeprefix("=")
    return flag, f"{argument[1]!r} in {argument}", inline if len(argument) > 2 else None


def show(flag: Flag) -> str:
    """The default as help shows it, "" when it is the type's zero value."""
    value = flag.default
    if value is None or value in ("", (), False) or value == {}:
        return ""
    if isinstance(value, bool):
        return "true"
    if flag.kind == "duration":
        return show_duration(value) if value else ""
    if flag.kind == "portRange":
        return f"{value[0]}-{value[1]}"
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, str):
        return quote(value)
    return f"{value:g}" if value else ""


def usage(flags: Iterable[Flag], width: int = 0) -> str:
    """Help in sections, one for each group in the order of the flags; a width of 0 leaves lines unwrapped."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        if not flag.deprecated:
            groups.setdefault(flag.group, []).append(flag)
    out: list[str] = []
    for group, members in groups.items():
        out.append(f"\n{group[0].upper()}{group[1:]} flags:\n\n")
        for flag in sorted(members, key=lambda f: f.name):
            start = f"  -{flag.short}, " if flag.short else "      "
            kind = KINDS[flag.kind].shown
            out.append(f"{start}--{flag.name}{' ' + kind if kind else ''}\n")
            default = show(flag)
            text = flag.help + ("" if flag.effective else " (Accepted, without effect.)")
            text += f" (default {default})" if default else ""
            lines = textwrap.wrap(text, max(24, width - 16)) if width else [text]
            out.extend(f"                {line}\n" for line in lines)
    return "".join(out)
