"""The errors with which faults answer, in upstream's words."""

from pilothouse import errors
from pilothouse.admission.webhooks.calling import denial
from pilothouse.endpoints.objects.selection import TOKEN_EXPIRED, VERSION_EXPIRED
from pilothouse.faults.faults import Fault
from pilothouse.faults.subject import Subject

HEADER = "X-Pilothouse-Fault"
"""The header that names the fault, so that nobody takes it for the server's own doing."""
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"

KINDS = {
    kind.code: kind
    for kind in (
        errors.BadRequest,
        errors.Unauthorized,
        errors.MethodNotAllowed,
        errors.NotAcceptable,
        errors.RequestEntityTooLarge,
        errors.UnsupportedMediaType,
        errors.Invalid,
        errors.TooManyRequests,
        errors.InternalError,
        errors.ServiceUnavailable,
        errors.Timeout,
        errors.InsufficientStorage,
    )
}
MESSAGES = {
    429: "the server has received too many requests and has asked us to try again later",
    500: "Internal error occurred: the fault was asked for",
    503: "the server is currently unable to handle the request",
    504: "Timeout: request did not complete within the allotted timeout",
}


def refusal(fault: Fault, one: Subject, newest: int) -> errors.StatusError:
    """The error of a fault that has a code. `newest` is the revision of the store."""
    rule = fault.rule
    if rule.webhook:
        status = {"code": rule.code, "reason": rule.reason, "message": rule.message}
        err = denial(rule.webhook, status)
    else:
        err = _error(rule.code, one, newest, rule.message)
        err.reason = rule.reason or err.reason
        if rule.message:
            err.message = rule.message
    wait = rule.retry_after or (1 if rule.code == 429 else 0)
    err.headers = [(HEADER, fault.name)]
    if wait:
        err.headers.append(("Retry-After", str(wait)))
        err.details = {**(err.details or {}), "retryAfterSeconds": wait}
    err.valueless = True  # the text is the rule's: `why` may tell it of secrets too
    return err


def _error(code: int, one: Subject, newest: int, message: str) -> errors.StatusError:
    group, plural, name = one.api_group, one.resource, one.name
    if code == 409 and one.verb == "create":
        return errors.already_exists(group, plural, name)
    if code == 409:
        return errors.conflict(group, plural, name, MODIFIED)
    if code == 404:
        return errors.not_found(group, plural, name)
    if code == 403:
        return errors.forbidden(group, plural, name, message or "the fault was asked for")
    if code == 410:
        return errors.Expired(_too_old(one, newest))
    kind = KINDS.get(code, errors.Unknown)
    err = kind(MESSAGES.get(code, f"the fault was asked for: {code}"))
    err.code = code
    return err


def _too_old(one: Subject, newest: int) -> str:
    if one.verb == "watch":
        return f"too old resource version: {one.revision or newest} ({newest})"
    return TOKEN_EXPIRED if one.query.get("continue") else VERSION_EXPIRED
