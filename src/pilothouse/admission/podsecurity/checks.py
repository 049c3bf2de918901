"""Checks of the pod security standards, and the pods that they look at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Object

EMPTY: Object = {}


class Pod:
    """The parts of a pod, or of a pod template, that checks look at."""

    __slots__ = ("annotations", "containers", "security", "spec")

    def __init__(self, metadata: Object, spec: Object) -> None:
        self.spec = spec
        self.annotations: Mapping[str, str] = metadata.get("annotations") or EMPTY
        self.security: Object = spec.get("securityContext") or EMPTY
        self.containers: list[tuple[str, Object, Object]] = [
            (container.get("name", ""), container.get("securityContext") or EMPTY, container)
            for kind in ("initContainers", "containers", "ephemeralContainers")
            for container in spec.get(kind) or ()
        ]
        """Name, security context and record of each container, in the order in which upstream visits them."""

    @property
    def windows(self) -> bool:
        """Whether the pod says that it runs on Windows, where some settings do not exist."""
        return bool((self.spec.get("os") or EMPTY).get("name") == "windows")

    @property
    def user_namespace(self) -> bool:
        """Whether the pod's users are not those of the node (KEP-127)."""
        return self.spec.get("hostUsers") is False


class Violation(NamedTuple):
    """Why a check forbids a pod: in short, and with the values that it found."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


CheckPod = Callable[[Pod], Violation | None]


class Check(NamedTuple):
    """A check of one level. `versions` are the minor versions from which each form of it holds.

    `overrides` names the checks of the baseline level that this one makes superfluous.
    """

    id: str
    versions: Sequence[tuple[int, CheckPod]]
    overrides: Sequence[str] = ()


def quoted(items: Iterable[str]) -> str:
    """`"a", "b"`: as upstream lists names, without escapes."""
    text = '", "'.join(items)
    return f'"{text}"'


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def containers_named(names: Sequence[str]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{plural('container', 'containers', len(names))} {quoted(names)}"


def setters(pod: bool, containers: Sequence[str]) -> list[str]:
    """The pod and the containers that set something forbidden, to be joined by `and`."""
    if not pod and not containers:  # PERF: nearly always
        return []
    return [*(["pod"] if pod else []), *([containers_named(containers)] if containers else [])]
