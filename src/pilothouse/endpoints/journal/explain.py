"""Says of one request why it was answered as it was:
what GET /debug/requests shows of an entry of the journal."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import RequestInfo
from pilothouse.authn.authenticator import NOT_MINE
from pilothouse.authz.shortest import yaml_for
from pilothouse.endpoints.journal.intervals import intervals
from pilothouse.endpoints.journal.journal import SLOW, Detail, JournalEntry
from pilothouse.endpoints.journal.struck import fault_of, sentence
from pilothouse.endpoints.request.context import Refusal
from pilothouse.gotext import quote
from pilothouse.registry.timeline import AdmissionStep

_DIGITS = 7
"""Digits behind the point of a number of seconds."""


def summary(entry: JournalEntry, wall: float) -> Object:
    """One line of a list of requests. `wall` is what time.perf_counter() lacks to Unix seconds."""
    info = entry.info
    out: Object = {
        "auditID": entry.audit_id,
        "received": _time(entry.kept.started + wall),
        "user": json.loads(entry.kept.user)["username"],
        "verb": info.verb,
        "path": info.path,
    }
    if info.is_resource:
        out["resource"] = group_resource(info)
    out |= {"code": entry.kept.code, "seconds": round(entry.seconds, _DIGITS)}
    detail = entry.unpacked()
    if struck := fault_of(detail):
        out["fault"] = struck[0]
    refusal = detail.refusal if entry.kept.code >= 400 else None
    return out if refusal is None else out | _filled(reason=refusal.reason, message=refusal.message)


def group_resource(info: RequestInfo) -> str:
    """`deployments.apps/scale`: how rules name what a request is about."""
    out = f"{info.resource}.{info.group}" if info.group else info.resource
    return f"{out}/{info.subresource}" if info.subresource else out


def explanation(entry: JournalEntry, wall: float, *, by_rules: bool = True) -> Object:
    """All that is known of a request. by_rules: roles count, so that one may be suggested."""
    detail = entry.unpacked()
    out: Object = {
        "auditID": entry.audit_id,
        "why": why(entry, detail),
        "request": _request(entry, wall),
        "answer": _answer(entry, detail),
        "authentication": _authentication(entry),
    }
    if entry.kept.caller is not entry.kept.user:
        constraint = entry.kept.acting[0] if entry.kept.acting is not None else ""
        out["impersonation"] = {"user": json.loads(entry.kept.user)} | _filled(constraint=constraint)
    if struck := fault_of(detail):
        out["fault"] = struck[0]
    flow = entry.kept.flow
    if flow is not None and flow[0]:
        schema, level, seats, waited = flow
        queue = {"seats": seats, "waitedSeconds": round(waited, _DIGITS)}
        out["flowControl"] = {"flowSchema": schema, "priorityLevel": level, "queue": queue}
    authorization = _authorization(entry, detail, by_rules=by_rules)
    if authorization:
        out["authorization"] = authorization
    if detail.steps:
        out["admission"] = [_step(step) for step in detail.steps]
    if detail.revision:
        out["commit"] = {"revision": detail.revision, "seconds": round(detail.stored, _DIGITS)}
    out["stages"] = [{"name": name, "seconds": round(took, _DIGITS)} for name, took in stages(entry, detail)]
    out["seconds"] = round(entry.seconds, _DIGITS)
    return out


def stages(entry: JournalEntry, detail: Detail) -> Iterator[tuple[str, float]]:
    """The stages that a request has gone through, each with its seconds."""
    kept = entry.kept
    waited = kept.flow[3] if kept.flow is not None else 0.0
    refused = detail.refusal is not None
    for name, begin, end in intervals(kept, waited, detail.marks, kept.ended, refused=refused):
        yield name, end - begin


def why(entry: JournalEntry, detail: Detail) -> str:
    """One sentence: what has decided the answer."""
    refusal, info = detail.refusal, entry.info
    if struck := fault_of(detail):
        return sentence(*struck, entry.kept.code, refusal.reason if refusal is not None else "")
    if entry.kept.code == 401:
        return _unknown(entry)
    if refusal is not None and refusal.missing is not None:
        return _not_allowed(entry, refusal)
    stopped = next((step for step in detail.steps if step.verdict == "refused"), None)
    if refusal is not None and stopped is not None:
        what = f"{stopped.plugin} {quote(stopped.name)}" if stopped.name else stopped.plugin
        return f"The admission plugin {what} refused it."
    if refusal is not None and entry.kept.code == 422 and refusal.causes:
        return (
            f"The object is invalid: {len(refusal.causes)}"
            f" {'cause' if len(refusal.causes) == 1 else 'causes'}."
        )
    if refusal is not None and entry.kept.code < 400:
        return f"The watch ended with an ERROR event: {refusal.reason}."
    if refusal is not None:
        return f"It was answered with {entry.kept.code} {refusal.reason}".rstrip() + "."
    if entry.kept.error:
        return f"The answer was cut short: {entry.kept.error}."
    if entry.seconds >= SLOW and info.verb not in ("watch", "connect"):
        name, took = max(stages(entry, detail), key=lambda stage: stage[1])
        return f"It took {entry.seconds:.3f} s, most of it ({took:.3f} s) in the stage {quote(name)}."
    return (
        "It was allowed and carried out."
        if entry.kept.code < 400
        else f"It was answered with {entry.kept.code}."
    )


def _unknown(entry: JournalEntry) -> str:
    said = entry.recognition.said
    if not said:
        return "Nobody was recognised: the request has no credentials, and anonymous requests are not let in."
    faults = [text for _, text in said if text != NOT_MINE]
    return f"Nobody was recognised: {'; '.join(faults) or 'no authenticator knows the token'}."


def _not_allowed(entry: JournalEntry, refusal: Refusal) -> str:
    a, decision = refusal.missing, entry.kept.decision
    assert a is not None
    what = f"{a.verb} {a.path}" if not a.is_resource else f"{a.verb} {a.resource}"
    if a.subresource:
        what += f"/{a.subresource}"
    where = f" in the namespace {a.namespace}" if a.is_resource and a.namespace else ""
    if decision is not None and decision.denied:
        return f"{decision.by or 'An authorizer'} denied {a.user.name} to {what}{where}."
    return f"No authorizer allowed {a.user.name} to {what}{where}."


def _request(entry: JournalEntry, wall: float) -> Object:
    info = entry.info
    out: Object = {"received": _time(entry.kept.started + wall), "verb": info.verb, "path": info.path}
    if info.is_resource:
        out["resource"] = group_resource(info)
        out |= _filled(apiVersion=info.version, namespace=info.namespace, name=info.name)
    return out | _filled(query=entry.query, sourceIP=entry.peer, userAgent=entry.agent)


def _answer(entry: JournalEntry, detail: Detail) -> Object:
    out: Object = {"code": entry.kept.code, "bytes": entry.kept.sent}
    refusal = detail.refusal
    if refusal is not None:
        out |= _filled(reason=refusal.reason, message=refusal.message)
        causes = [_filled(field=f, reason=r, message=m) for f, r, m in refusal.causes]
        if any(causes):
            out["causes"] = [cause for cause in causes if cause]
    return out | _filled(cutShortBy=entry.kept.error)


def _authentication(entry: JournalEntry) -> Object:
    found = entry.recognition
    out: Object = {"recognisedBy": found.by} if found.by else {}
    if entry.kept.recognised:
        out["user"] = json.loads(entry.kept.caller)
    if found.said:
        out["others"] = [{"authenticator": by, "said": text} for by, text in found.said]
    return out


def _authorization(entry: JournalEntry, detail: Detail, *, by_rules: bool) -> Object:
    decision, refusal = entry.kept.decision, detail.refusal
    out: Object = {}
    if decision is not None:
        verdict = "allowed" if decision.allowed else "denied" if decision.denied else "not allowed"
        out = {"decision": verdict}
        out |= _filled(by=decision.by, reason=decision.reason, error=decision.error)
        if decision.rule:
            out["rule"] = _rule(decision.rule)
    missing = refusal.missing if refusal is not None else None
    if missing is None:
        return out
    out["decision"] = "denied" if decision is not None and decision.denied else "not allowed"
    if by_rules and out["decision"] == "not allowed":
        out["wouldAllow"] = yaml_for(missing)
    return out


def _rule(text: str) -> Object | str:
    """A rule as an object, or as text when it was cut."""
    try:
        rule: Object = json.loads(text)
    except ValueError:
        return text
    return rule


def _step(step: AdmissionStep) -> Object:
    out: Object = {"phase": step.phase, "plugin": step.plugin}
    out |= _filled(name=step.name, by=step.by)
    out["verdict"] = step.verdict or ("changed the object" if step.changed else "passed")
    if step.changed:
        out["changed"] = list(step.changed)
    return out | _filled(message=step.text) | {"seconds": round(step.seconds, _DIGITS)}


def _filled(**members: str) -> Object:
    """The members that are not empty."""
    return {name: value for name, value in members.items() if value}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
