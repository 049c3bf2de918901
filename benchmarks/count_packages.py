"""Tells from a profile in which packages the instructions were spent.

Callgrind is asked to pass over every function but those that say where they belong: the C functions of
compiled modules and of libraries, and those of count_probe.c, below which each file of Python runs. What the
interpreter and the C library do is then counted for the nearest such function on the stack.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

KEPT = (
    "0x0000000000",  # a function of a library, which has lost its name
    "(",
    "Zfile_",
    "__pyx_",
    "epoll_pwait",
    "serve",
    "gc_collect",
    "llhttp_",
    "uv_",
    "uv__",
    "loads",
    "dumps",
    "sqlite3_",
    "pysqlite_",
    "_pysqlite_",
    "_ssl_",
    "memory_bio_",
    "SSL_",
    "BIO_",
    "ERR_",
    "EVP_",
    "OPENSSL_",
    "_asyncio_",
    "task_",
    "TaskObj_",
    "TaskStep",
    "Future",
    "future_",
)
"""The beginnings of the names of functions that are kept."""
LETTERS = string.ascii_letters + string.digits + "_.@$~<"
"""The characters of a name."""
LIBRARIES = {
    "_ssl": "tls",
    "libssl": "tls",
    "libcrypto": "tls",
    "loop": "uvloop",
    "_asyncio": "asyncio",
    "parser": "httptools",
    "orjson": "json (orjson)",
    "_sqlite3": "sqlite",
    "libsqlite3": "sqlite",
}
OURS = re.compile(r"/pilothouse/((?:\w+/)+_\w+\.[^/]*)$")
"""The path of a compiled module, below its package."""
COLLECTION, PYTHON = "garbage collection", "python"
COST = tuple("0123456789+-*")
"""How the lines with costs begin."""
ENTERED = re.compile(r"Zfile_([0-9a-f]+)")


class Function(NamedTuple):
    """A function, and the object that it is in: a file name, or the path of a module of ours."""

    object: str
    name: str


def passed_over(kept: Iterable[str] = KEPT, letters: str = LETTERS) -> list[str]:
    """Options of callgrind that skip every function whose name begins with none of `kept`."""
    complete = {*kept}
    starts = {name[:length] for name in complete for length in range(len(name))}
    starts -= {start for start in starts if any(start.startswith(name) for name in complete)}
    out = []
    for start in sorted(starts):
        if start:
            out.append(start)
        out += [f"{start}{c}*" for c in letters if start + c not in starts and start + c not in complete]
    return [f"--fn-skip={pattern}" for pattern in out]


class Costs(NamedTuple):
    """The instructions of functions in a profile, and of pairs of a caller and a function that it calls."""

    own: Counter[Function]
    """Instructions of a function itself."""
    below: Counter[tuple[Function, Function]]
    """Instructions of calls, with all that they call."""
    calls: Counter[tuple[Function, Function]]
    """How many calls there are."""


def read(profile: str) -> Costs:
    """Read callgrind's format with compressed names."""
    costs = Costs(Counter(), Counter(), Counter())
    names: dict[tuple[str, str], str] = {}
    here, there, caller, called = "", "", Function("", ""), None
    for line in profile.splitlines():
        key, _, value = line.partition("=")
        if key in ("ob", "cob", "fn", "cfn"):
            number, _, name = value.partition(" ")
            kind = key.removeprefix("c")
            name = names.setdefault((kind, number), name)
            if key == "ob":
                here = there = name
            elif key == "cob":
                there = name
            elif key == "fn":
                caller = _function(here, name)
            else:
                called = _function(there, name)
                there = here
        elif key == "calls" and called is not None:
            costs.calls[caller, called] += int(value.partition(" ")[0])
        elif line[:1] in COST:
            cost = int(line.rpartition(" ")[2])
            if called is None:
                costs.own[caller] += cost
            else:
                costs.below[caller, called] += cost
                called = None
    return costs


def _function(path: str, name: str) -> Function:
    ours = OURS.search(path)
    return Function(ours[1] if ours else path.rpartition("/")[2], name.partition("'")[0])


def places(costs: Costs, files: dict[int, str]) -> Counter[tuple[str, str]]:
    """Instructions by package and by file inside it. `files` are those of Python by the probe's numbers."""
    own = Counter(costs.own)
    for function, shares in _callers(costs).items():
        if place(function, files) is None:
            _share(own, function, shares)
    out: Counter[tuple[str, str]] = Counter()
    for function, cost in own.items():
        out[place(function, files) or (PYTHON, function.object)] += cost
    return out


def _callers(costs: Costs) -> dict[Function, dict[Function, int]]:
    out: dict[Function, dict[Function, int]] = {}
    for (caller, called), cost in costs.below.items():
        if caller != called:
            out.setdefault(called, {})[caller] = cost
    return out


def _share(own: Counter[Function], function: Function, shares: dict[Function, int]) -> None:
    """Give what a function took itself to its callers, in proportion to what their calls took."""
    whole, cost = sum(shares.values()), own[function]
    if not whole or not cost:
        return
    del own[function]
    for caller, share in shares.items():
        own[caller] += round(cost * share / whole)


def place(function: Function, files: dict[int, str]) -> tuple[str, str] | None:
    """The package of a function and the file inside it; None if it works for its callers."""
    module = function.object.partition(".")[0]
    if found := ENTERED.fullmatch(function.name):
        path = files[int(found[1], 16)]
        package, _, inside = path.partition("/")
        return (package, inside) if inside else ("pilothouse", package)
    if function.name.startswith("gc_collect"):
        return COLLECTION, ""
    package, _, inside = module.partition("/")
    if inside:
        return package, inside
    if module in LIBRARIES:
        return LIBRARIES[module], ""
    return None


def listed(text: str) -> dict[int, str]:
    """The files by number, as the probe has written them."""
    pairs = [line.partition(" ") for line in text.splitlines()]
    return {int(number, 16): path for number, _, path in pairs}


def adjusted(costs: Costs, files: dict[int, str], whole: int) -> dict[str, int]:
    """Instructions by place, as `package/file`, which add up to `whole`, those of a run without the probe.

    A call of a Python function is dearer with it, for the interpreter has a short way for most: what there is
    more than `whole` goes off the callers, in proportion to their calls.
    """
    found = places(costs, files)
    calls: Counter[tuple[str, str]] = Counter()
    for (caller, called), number in costs.calls.items():
        where = place(caller, files)
        if where is not None and where in found and ENTERED.fullmatch(called.name):
            calls[where] += number
    surplus = found.total() - whole
    for where, number in calls.items():
        found[where] -= round(surplus * number / calls.total())
    return {"/".join(where).rstrip("/"): cost for where, cost in found.items()}


def total(profile: str) -> int:
    """The instructions of a profile."""
    (line,) = [line for line in profile.splitlines() if line.startswith("totals: ")]
    return int(line.removeprefix("totals: "))
