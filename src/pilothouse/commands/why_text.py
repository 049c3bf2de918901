"""The output of `pilothouse why`: the explanation of requests, and lists of them, as text for a terminal."""

import textwrap
from collections.abc import Iterable, Sequence

from pilothouse.api import json
from pilothouse.api.values.fields import Object
from pilothouse.commands import output
from pilothouse.commands.output import columns, painted, printable

WIDTH = 100
_LABEL = 15
"""Columns of the labels on the left."""


def explained(found: Object) -> str:
    """The answer of GET /debug/requests/ID."""
    server = found["server"]
    asked = f"process {server['process']} of {server['name'] or 'the server'}"
    return "\n\n".join(_request(one) for one in found["requests"]) + f"\n\n{_line('kept by', asked)}"


def listed(found: Object, *, wide: bool = False, colours: bool = False) -> str:
    """Requests of all servers; wide: with the reasons of refusals, and the server that was asked."""
    head = ("RECEIVED", "USER", "VERB", "PATH", "CODE", "TIME", "AUDIT-ID")
    rows = [head + (("SERVER", "REASON") if wide else ())]
    for one in found["requests"]:
        told = (
            one["received"],
            one["user"],
            one["verb"],
            one["path"],
            str(one["code"]),
            seconds(one["seconds"]),
        )
        more = (one.get("server", ""), one.get("message") or one.get("reason", "")) if wide else ()
        rows.append((*told, one["auditID"], *more))
    head_line, *lines = columns(rows)
    tones = [output.colour_of(one["code"]) for one in found["requests"]]
    lines = [painted(line, tone, colours) for line, tone in zip(lines, tones, strict=True)]
    lines.insert(0, painted(head_line, output.BOLD, colours))
    if found.get("more"):
        lines.append("(there are more: --limit)")
    lines += [f"({note})" for note in found.get("notes", ())]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """A duration in the unit that suits it."""
    if value >= 1:
        return f"{value:.2f}s"
    return f"{value * 1e3:.1f}ms" if value >= 0.01 else f"{value * 1e6:.0f}us"


def _request(one: Object) -> str:
    request, answer = one["request"], one["answer"]
    asked = f"{request['verb']} {request['path']}"
    if request.get("query"):
        asked += f"?{request['query']}"
    status = f"{answer['code']} {answer.get('reason', '')}".rstrip()
    blocks = [
        _line("request", one["auditID"]),
        _line("", asked),
        _line("", ", ".join(_circumstances(request))),
        _line("answer", f"{status}, {answer['bytes']} bytes after {seconds(one['seconds'])}"),
        _line("", answer.get("message", "")),
        _line("why", one["why"]),
        *_causes(answer),
        *_who(one),
        *_authorization(one.get("authorization") or {}),
        *_admission(one.get("admission") or (), answer.get("message", "")),
        *_ends(one),
        *_remedy(one.get("authorization") or {}),
    ]
    return "\n".join(block for block in blocks if block)


def _circumstances(request: Object) -> Iterable[str]:
    yield f"received {request['received']}"
    if request.get("sourceIP"):
        yield f"from {request['sourceIP']}"
    if request.get("userAgent"):
        yield f"by {request['userAgent']}"


def _causes(answer: Object) -> Iterable[str]:
    for cause in answer.get("causes") or ():
        field, message = cause.get("field", ""), cause.get("message", "")
        if field or message not in answer.get("message", ""):
            yield _line("cause", f"{field}: {message}".strip(": "))


def _who(one: Object) -> Iterable[str]:
    found = one["authentication"]
    if "user" in found:
        yield _line("user", f"{_user(found['user'])}, recognised by: {found.get('recognisedBy', '')}")
    label = "authenticators"
    for other in found.get("others") or ():
        yield _line(label, f"{other['authenticator']}: {other['said']}")
        label = ""
    acting = one.get("impersonation")
    if acting:
        by = f", allowed by the verb {acting['constraint']}" if acting.get("constraint") else ""
        yield _line("acting as", _user(acting["user"]) + by)
    flow = one.get("flowControl")
    if flow:
        text, queue = f"schema {flow['flowSchema']}, level {flow['priorityLevel']}", flow["queue"]
        if queue["seats"] > 1:
            text += f", {queue['seats']} seats"
        if queue["waitedSeconds"]:
            text += f", after waiting for {seconds(queue['waitedSeconds'])}"
        yield _line("flow", text)


def _user(user: Object) -> str:
    groups = user.get("groups")
    return f"{user['username']} (groups: {', '.join(groups)})" if groups else str(user["username"])


def _authorization(found: Object) -> Iterable[str]:
    if not found:
        return
    by = f" by {found['by']}" if found.get("by") else ""
    yield _line("authorization", f"{found['decision']}{by}")
    for name in ("reason", "error"):
        yield _line("", found.get(name, ""))
    if found.get("rule"):
        rule = found["rule"]
        yield _line("", f"rule: {rule if isinstance(rule, str) else json.dump(rule).decode()}")


def _remedy(found: Object) -> Iterable[str]:
    """A command to paste. Clients choose the names in it; the quotes keep the shell from expanding them."""
    if found.get("wouldAllow"):
        yield _line("would allow it", "kubectl apply -f - <<'EOF'")
        yield f"{found['wouldAllow']}EOF"


def _admission(steps: Sequence[Object], told: str) -> Iterable[str]:
    """The steps of the plugins; their messages, unless the answer has told them."""
    if not steps:
        return
    rows = [("PHASE", "PLUGIN", "WEBHOOK OR POLICY", "TIME", "VERDICT")]
    for step in steps:
        name = f"{step['name']} ({step['by']})" if step.get("name") else ""
        verdict = step["verdict"]
        if step.get("changed"):
            verdict += f": {', '.join(step['changed'])}"
        rows.append((step["phase"], step["plugin"], name, seconds(step["seconds"]), verdict))
    if not any(row[2] for row in rows[1:]):
        rows = [(*row[:2], *row[3:]) for row in rows]  # type: ignore[misc]
    yield _line("admission", "")
    yield from textwrap.indent("\n".join(columns(rows)), "  ").split("\n")
    for step in steps:
        if step.get("message") and step["message"] not in told:
            yield _line("", f"{step.get('name') or step['plugin']}: {step['message']}")


def _ends(one: Object) -> Iterable[str]:
    commit = one.get("commit")
    if commit:
        yield _line("commit", f"revision {commit['revision']}, the store took {seconds(commit['seconds'])}")
    yield _line(
        "stages", ", ".join(f"{stage['name']} {seconds(stage['seconds'])}" for stage in one["stages"])
    )


def _line(label: str, text: str) -> str:
    """A label and a text, which is wrapped; "" for no text without a label."""
    if not text and not label:
        return ""
    indent = " " * (_LABEL + 1)
    lines = textwrap.wrap(text, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False) or [""]
    lines[0] = f"{label:{_LABEL}} {lines[0]}".rstrip()
    return f"\n{indent}".join(map(printable, lines))
