"""The report as text: the most telling first, in few lines."""

from collections.abc import Callable, Iterable, Iterator

from pilothouse.api.values.fields import Object

LINES = 40
LONGEST = 200
"""Characters of a line."""

Lines = Callable[[Object], Iterator[str]]


def text(report: Object, most: int = LINES) -> str:
    """The report in at most so many lines; each section gets its share, and tells how much more there is."""
    sections = [(title, list(lines(report))) for title, lines in SECTIONS]
    full = [(title, lines) for title, lines in sections if lines]
    if not report["complete"]:
        full.append(("(requests before these are forgotten: --explained-requests)", []))
    rooms = _rooms([len(lines) for _, lines in full], most - len(full))
    out: list[str] = []
    for (title, lines), room in zip(full, rooms, strict=True):
        out.append(title)
        out += [f"  {_cut(line)}" for line in _some(lines, room)]
    return "\n".join(out)


def _rooms(wanted: list[int], most: int) -> list[int]:
    """The lines of each section; what one does not want, others get."""
    given = [0] * len(wanted)
    left = most
    while left > 0 and given != wanted:
        for at, want in enumerate(wanted):
            if given[at] < want and left > 0:
                given[at] += 1
                left -= 1
    return given


def _some(lines: list[str], room: int) -> list[str]:
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"... and {len(lines) - room + 1} more"] if room else []


def _cut(line: str) -> str:
    """A line of texts that anybody may have sent: short, and without control characters."""
    line = " ".join(line.split())
    if not line.isprintable():
        line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _faults(report: Object) -> Iterator[str]:
    for one in sorted(report["faults"], key=lambda fault: fault["hits"] > 0):
        rule = ", ".join(f"{name} {_shown(value)}" for name, value in one["rule"].items())
        if one["hits"]:
            yield f"{one['name']} has struck {_times(one['hits'])} ({rule})"
        else:
            seen = one["matched"]
            yield f"{one['name']} never struck, {seen or 'no'} requests were like its rule ({rule})"


def _loops(report: Object) -> Iterator[str]:
    for one in report["loops"]:
        did = "deleted" if one["verb"] == "delete" else "wrote"
        line = f"{one['client']} {did} {one['object']} {_times(one['writes'])} in {one['seconds']:g} s"
        if one.get("refused"):
            line += f", refused each time: {one['reason']}"
        elif one["verb"] != "delete":
            line += f", {one['withoutEffect']} without any effect, {one['sameSpec']} with the same spec"
        yield line


def _conflicts(report: Object) -> Iterator[str]:
    for one in report["conflicts"]:
        lost = f"{one['object']}: {one['verb']} of {one['lost']} lost"
        against = f" against {one['against']}" if one["against"] else ""
        yield f"{lost}{against}{_count(one)}: {one['message']}"


def _refused(report: Object) -> Iterator[str]:
    for one in report["refused"]:
        why = ": ".join(one[name] for name in ("reason", "message") if one[name])
        line = f"{one['verb']} {one['path']} by {one['user']}{_count(one)}: {one['code']} {why}"
        yield line.rstrip()


def _gaps(report: Object) -> Iterator[str]:
    names = {"tooOld": "too old (410)", "cut": "cut", "relists": "listed again"}
    for one in report["watchGaps"]:
        told = [f"{text} {_times(one[name])}" for name, text in names.items() if one.get(name)]
        where = f" in {one['namespace']}" if one["namespace"] else ""
        yield f"{one['resource']}{where} of {one['client']}: {', '.join(told)}"


def _left(report: Object) -> Iterator[str]:
    for one in report["leftOver"]:
        line = one["object"]
        if one.get("deletionTimestamp"):
            line += f" is being deleted, and held by {', '.join(one['finalizers']) or 'nothing'}"
            if one.get("waitsFor"):
                line += f", which waits for {', '.join(one['waitsFor'])}"
        if one.get("owners"):
            line += f", owned by {' < '.join(one['owners'])}"
            line += " that is gone" if one.get("ownerIsGone") else ""
        if one.get("dependents"):
            line += f" and {one['dependents']} that it owns"
        yield line


def _clients(report: Object) -> Iterator[str]:
    for one in report["clients"]:
        by = ", ".join(
            f"{each['verb']} {each['resource']} {each['code']}"
            + (f" x{each['count']}" if each["count"] > 1 else "")
            for each in one["by"]
        )
        yield f"{one['userAgent'] or 'no user agent'} as {one['user']}: {one['requests']} ({by})"


SECTIONS: tuple[tuple[str, Lines], ...] = (
    ("Faults", _faults),
    ("Hot loops", _loops),
    ("Conflicts", _conflicts),
    ("Refused", _refused),
    ("Watch gaps", _gaps),
    ("Left over", _left),
    ("Requests", _clients),
)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _count(one: Object) -> str:
    return f" ({one['count']} times)" if one["count"] > 1 else ""


def _shown(value: object) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else str(value)
    )
