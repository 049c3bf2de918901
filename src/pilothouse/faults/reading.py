"""Reads rules from JSON, and says what is wrong with them."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pilothouse import errors
from pilothouse.api import json
from pilothouse.api.values import names
from pilothouse.configuration.suggestions import nearest
from pilothouse.faults.rule import Rule, camel
from pilothouse.faults.subject import WRITES
from pilothouse.gotext import quote

GROUP, KIND = "faults.pilothouse.dev", "Fault"
MOST_BYTES = 64 << 10
LONGEST_DELAY = 600.0
VERBS = ("get", "list", "watch", *WRITES, "connect", "proxy")
METHODS = ("post", "put", "head", "options")
"""Verbs of paths that are no resources, beside those that resources have too."""
MEMBERS = {camel(one.name): one for one in fields(Rule)}

Cause = tuple[str, str]
"""A member, and what is wrong with it."""


def read(name: str, body: bytes) -> Rule:
    """The rule in a request's body; BadRequest, Invalid."""
    if len(body) > MOST_BYTES:
        raise errors.BadRequest(f"a fault has at most {MOST_BYTES} bytes")
    try:
        given = json.parse(body)
    except ValueError as err:
        raise errors.BadRequest(f"the fault is no JSON: {err}") from None
    if not isinstance(given, dict):
        raise errors.BadRequest("the fault is no JSON object")
    causes = [("metadata.name", fault) for fault in names.dns_subdomain(name)]
    values: dict[str, Any] = {}
    for member, value in given.items():
        if member not in MEMBERS:
            near = nearest(member, MEMBERS)
            causes.append((member, f"unknown member{f', {quote(near[0])} is one' if near else ''}"))
            continue
        one = MEMBERS[member]
        try:
            values[one.name] = _value(one.default, value)
        except ValueError as err:
            causes.append((member, str(err)))
    if values.get("webhook"):
        values.setdefault("code", 403)
    if not causes:
        rule = Rule(**values)
        causes = [*_limits(rule), *_sense(rule)]
        if not causes:
            return rule
    told = [{"reason": "FieldValueInvalid", "field": field, "message": text} for field, text in causes]
    raise errors.invalid(GROUP, KIND, name, told)


def _value(default: object, value: Any) -> Any:
    """A member's value of the type of its default; ValueError."""
    if isinstance(default, tuple):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
            raise ValueError("must be a text or a list of texts")
        return tuple(texts)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise ValueError("must be a text")
        return value
    if isinstance(default, bool) or isinstance(value, bool):
        if not (isinstance(default, bool) and isinstance(value, bool)):
            raise ValueError("must be true or false" if isinstance(default, bool) else "must be a number")
        return value
    if isinstance(default, int) and not isinstance(value, int):
        raise ValueError("must be a whole number")
    if not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value if isinstance(default, int) else float(value)


def _limits(rule: Rule) -> Iterator[Cause]:
    """Yield the numbers that are too small or too large."""
    for name, least in (("skip", 0), ("every", 1), ("times", 0), ("retry_after", 0), ("after_events", 0)):
        if getattr(rule, name) < least:
            yield camel(name), f"must be {least} or more"
    if not 0 < rule.probability <= 1:
        yield "probability", "must be above 0, and 1 at most"
    if rule.seconds < 0:
        yield "seconds", "must be 0 or more"
    if not 0 <= rule.delay <= LONGEST_DELAY:
        yield "delay", f"must be from 0 to {LONGEST_DELAY:.0f} seconds"
    if rule.code and not 400 <= rule.code < 600:
        yield "code", "must be from 400 to 599"


def _sense(rule: Rule) -> Iterator[Cause]:
    """Yield the members that do not go together."""
    unknown = [verb for verb in rule.verb if verb not in VERBS and not (rule.path and verb in METHODS)]
    if unknown:
        yield "verb", f"{quote(unknown[0])} is no verb: known ones are {', '.join(VERBS)}"
    if not (rule.code or rule.drop or rule.delay or rule.stale or rule.webhook):
        yield "code", "a fault has a code, drop, delay, stale or webhook"
    if rule.drop and (rule.code or rule.webhook):
        yield "drop", "a connection that is dropped has no code"
    if rule.stale and (rule.code or rule.drop or rule.webhook):
        yield "stale", "an older list has no code, and is not dropped"
    if rule.code == 410 and not {"list", "watch"}.issuperset(rule.verb):
        yield "code", "only a list or a watch can be too old (410)"
    if rule.stale and not {"list"}.issuperset(rule.verb):
        yield "stale", "only a list with resourceVersion=0 may be older"
    if rule.webhook and not set(WRITES).issuperset(rule.verb):
        yield "webhook", f"webhooks refuse {', '.join(WRITES)} only"
    if rule.after_events and not (rule.verb == ("watch",) and rule.ends_watches):
        yield "afterEvents", 'needs the verb "watch", and drop or the code 410'
    if rule.carry_out and (rule.code == 410 or rule.webhook or not (rule.code or rule.drop)):
        yield "carryOut", "needs drop, or a code other than 410"
    if (rule.reason or rule.message or rule.retry_after) and not (rule.code or rule.webhook):
        yield "message", "without a code or a webhook there is no answer to tell it"
