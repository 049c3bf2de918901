"""Parameters of operations, and which of them belong to a path as a whole
(kube-openapi pkg/builder findCommonParameters)."""

from collections.abc import Iterable
from typing import NamedTuple


class Parameter(NamedTuple):
    """A parameter in a path or in the query."""

    name: str
    type: str
    description: str
    place: str = "query"


def common(operations: Iterable[tuple[Parameter, ...]]) -> list[Parameter]:
    """The parameters that each of a path's operations has, by name and place.
    At least one operation is given."""
    first, *others = operations
    common_ones = {(one.name, one.place): one for one in first}
    for parameters in others:
        keys = {(one.name, one.place) for one in parameters}
        common_ones = {key: one for key, one in common_ones.items() if key in keys}
    return ordered(common_ones.values())


def without(parameters: Iterable[Parameter], common_ones: Iterable[Parameter]) -> list[Parameter]:
    """The parameters that are left to an operation when its path has the others."""
    keys = {(one.name, one.place) for one in common_ones}
    return ordered(one for one in parameters if (one.name, one.place) not in keys)


def ordered(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Parameters by name, then by place."""
    return sorted(parameters, key=lambda one: (one.name, one.place))


def named(kind: str) -> Parameter:
    """The name of an object in a path."""
    return Parameter("name", "string", f"name of the {kind}", "path")


def _query(*rows: tuple[str, str, str]) -> tuple[Parameter, ...]:
    return tuple(Parameter(*row) for row in rows)


NAMESPACE = Parameter(
    "namespace", "string", "object name and auth scope, such as for teams and projects", "path"
)
PATH = Parameter("path", "string", "path to the resource", "path")
PRETTY = _query(("pretty", "string", "If 'true', then the output is pretty printed."))
SELECTION = _query(
    ("continue", "string", "The token of the previous answer, to go on where it ended."),
    (
        "fieldSelector",
        "string",
        "Restricts the list of returned objects by their fields. Defaults to everything.",
    ),
    (
        "labelSelector",
        "string",
        "Restricts the list of returned objects by their labels. Defaults to everything.",
    ),
    ("limit", "integer", "The most objects that an answer may have."),
    ("resourceVersion", "string", "The version that the objects are read at."),
    ("resourceVersionMatch", "string", "How resourceVersion is applied: Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "Begin a watch with an ADDED event for every object that there is."),
    (
        "shardSelector",
        "string",
        "Restricts the objects to a range of the hashes of a field. Not in effect here.",
    ),
    ("timeoutSeconds", "integer", "How long the call may take."),
)
BOOKMARKS = _query(
    ("allowWatchBookmarks", "boolean", "Ask for BOOKMARK events, which carry a resourceVersion alone."),
)
WATCH = _query(
    (
        "watch",
        "boolean",
        "Watch for changes to the described resources: a stream of events in place of a list. "
        "Specify resourceVersion.",
    ),
)
DRY_RUN = _query(("dryRun", "string", "Nothing is kept when it is All."))
WRITE = (
    *DRY_RUN,
    *_query(
        ("fieldManager", "string", "The name of who makes these changes."),
        ("fieldValidation", "string", "What unknown or duplicate fields lead to: Ignore, Warn or Strict."),
    ),
)
FORCE = _query(("force", "boolean", "Take over fields that others have applied."))
DELETE = (
    *DRY_RUN,
    *_query(
        ("gracePeriodSeconds", "integer", "How long the object may take to go; 0 is at once."),
        (
            "ignoreStoreReadErrorWithClusterBreakingPotential",
            "boolean",
            "Delete an object that cannot be read from the store.",
        ),
        ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
        ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
    ),
)
LIST = (*BOOKMARKS, *SELECTION, *WATCH)
STREAM = _query(
    ("container", "string", "The container to connect to. Defaults to the only one in the pod."),
    ("stderr", "boolean", "Redirect standard error."),
    ("stdin", "boolean", "Redirect standard input."),
    ("stdout", "boolean", "Redirect standard output."),
    ("tty", "boolean", "Allocate a terminal."),
)
CONNECT: dict[str, tuple[Parameter, ...]] = {
    "attach": STREAM,
    "exec": (*_query(("command", "string", "What to run: argv, not in a shell.")), *STREAM),
    "portforward": _query(("ports", "integer", "Ports to forward.")),
    "proxy": _query(("path", "string", "The URL path to use for the request.")),
}
LOG = _query(
    ("container", "string", "The container whose log is wanted. Defaults to the only one in the pod."),
    ("follow", "boolean", "Go on with what is logged from now."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Do not check the certificate of the node."),
    ("limitBytes", "integer", "The most bytes to be sent."),
    ("previous", "boolean", "The log of the container that ran before."),
    ("sinceSeconds", "integer", "Only what is younger than so many seconds."),
    ("stream", "string", "Which stream: All, Stdout or Stderr."),
    ("tailLines", "integer", "Only so many lines from the end."),
    ("timestamps", "boolean", "Put a time in front of every line."),
)
