"""The behaviour of simulated containers, by annotations of their pods and the stages of a file."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from fnmatch import fnmatchcase
from typing import Any

from pilothouse import errors
from pilothouse.api.configfile import ConfigurationError, refuse_unknown
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.configuration.flags import duration
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

PREFIX = "simulate.pilothouse.dev/"
"""The prefix of the annotations."""

NEVER = math.inf
LONGEST_LOG = 64 * 1024
"""Characters of the longest log that a file or an annotation describes."""

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


@frozen
class Behaviour:
    """The behaviour of a container; times are seconds. Without `exit_after` its kind decides when it ends."""

    start_after: float = 0.0
    ready_after: float = 0.0
    exit_after: float | None = None
    exit_codes: tuple[int, ...] = (0,)
    """Of the first run, the second and so on; the last one is that of all further runs."""
    terminate_after: float = 0.0
    """Time from the signal to end until it does; the grace period cuts it short."""
    logs: str = ""
    waiting: str = ""
    """The reason for which it never starts, such as ImagePullBackOff."""
    waiting_message: str = ""
    termination_message: str = ""
    exec_output: str = ""
    exec_code: int = 0
    port_output: str = ""
    """The text that a connection to any of its ports is sent."""

    def exit_code(self, restarts: int) -> int:
        """The exit code of a run."""
        return self.exit_codes[min(restarts, len(self.exit_codes) - 1)]


def _seconds(text: str) -> float:
    """A number of seconds, or a duration as Go writes it."""
    seconds = float(text) if _NUMBER.fullmatch(text) else duration(text)
    if seconds < 0 or seconds > 1e9:
        raise ValueError("it must be between 0 and 1e9 seconds")
    return seconds


def _end(text: str) -> float:
    return NEVER if text == "never" else _seconds(text)


def _code(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text[:9]) <= 255:
        raise ValueError("it must be a number between 0 and 255")
    return int(text)


def _codes(text: str) -> tuple[int, ...]:
    return tuple(_code(part.strip()) for part in text.split(","))


def _log(text: str) -> str:
    if len(text) > LONGEST_LOG:
        raise ValueError(f"it must have at most {LONGEST_LOG} characters")
    return text


_READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "start-after": ("start_after", _seconds),
    "ready-after": ("ready_after", _seconds),
    "exit-after": ("exit_after", _end),
    "exit-code": ("exit_codes", _codes),
    "terminate-after": ("terminate_after", _seconds),
    "logs": ("logs", _log),
    "waiting": ("waiting", str),
    "waiting-message": ("waiting_message", str),
    "termination-message": ("termination_message", str),
    "exec-output": ("exec_output", _log),
    "exec-exit-code": ("exec_code", _code),
    "port-output": ("port_output", _log),
}
"""The names of what is said of a container: the member, and the function that reads it."""

MEMBERS = {re.sub("-(.)", lambda found: found[1].upper(), name): name for name in _READ}
"""The same names as a file has them: `exitCode`."""


def changed(base: Behaviour, said: Mapping[str, str]) -> Behaviour:
    """A behaviour with what is said by name; ValueError names what cannot be read."""
    members: dict[str, Any] = {}
    for name, text in said.items():
        if name not in _READ:
            raise ValueError(f"there is no {quote(name)}: want one of {', '.join(_READ)}")
        member, read = _READ[name]
        try:
            members[member] = read(text)
        except ValueError as error:
            raise ValueError(f"{name}: {quote(text)}: {error}") from None
    if "exit_codes" in members and "exit_after" not in members and base.exit_after is None:
        members["exit_after"] = 0.0  # it is said how it ends, so it ends
    return replace(base, **members) if members else base


def said_by(annotations: Mapping[str, str], container: str) -> dict[str, str]:
    """The texts by which annotations describe a container; those with its name as a suffix count more."""
    found = {key.removeprefix(PREFIX): text for key, text in annotations.items() if key.startswith(PREFIX)}
    out = {name: text for name, text in found.items() if "." not in name}
    suffix = f".{container}"
    out |= {name.removesuffix(suffix): text for name, text in found.items() if name.endswith(suffix)}
    return out


@frozen
class Stage:
    """A rule of the file: the behaviour of the containers that it selects."""

    namespace: str = ""
    selector: Object | None = None
    container: str = ""
    image: str = ""
    said: Mapping[str, str] = field(default_factory=dict)

    def concerns(self, pod: Object, container: Object) -> bool:
        """Whether the rule selects a container."""
        metadata = pod["metadata"]
        if self.namespace and not fnmatchcase(metadata.get("namespace", ""), self.namespace):
            return False
        if self.container and not fnmatchcase(container.get("name", ""), self.container):
            return False
        if self.image and not fnmatchcase(container.get("image", ""), self.image):
            return False
        if self.selector is None:
            return True
        return selectors.from_label_selector(self.selector).matches_labels(metadata.get("labels") or {})


WHERE = ("namespace", "selector", "container", "image")


def stage(given: Any, path: str) -> Stage:
    """A stage as the file has it; `path` leads to it."""
    members = refuse_unknown(given, (*WHERE, *MEMBERS), f"{path}.")
    said = {MEMBERS[name]: _text(value) for name, value in members.items() if name in MEMBERS}
    try:
        changed(Behaviour(), said)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    selector = members.get("selector")
    if selector is not None:
        try:
            selectors.from_label_selector(selector)
        except (errors.BadRequest, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path}.selector: {error}") from None
    where = {name: str(members.get(name) or "") for name in WHERE if name != "selector"}
    return Stage(selector=selector, said=said, **where)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def rules_for(stages: tuple[Stage, ...], pod: Object, container: Object) -> Iterator[Mapping[str, str]]:
    """The texts by which stages describe a container, in their order."""
    for one in stages:
        if one.concerns(pod, container):
            yield one.said
