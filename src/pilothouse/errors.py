"""Errors for clients: one class per Status reason, each of which becomes a Status object."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.gotext import OBJECT, QUOTED, quote, short


class StatusError(Exception):
    """An error that is answered as a `meta/v1` Status.

    `message` is the client's text; `details` holds kind, group, name, uid, causes and retryAfterSeconds as
    upstream's StatusDetails. `headers` are sent beside the body (for example Retry-After, WWW-Authenticate).
    Of a message with more than `longest` characters, which quotes what was sent, the first QUOTED are kept.
    """

    code = 500
    longest = 4 * QUOTED
    reason = "InternalError"
    missing: Any = None
    """The attributes that authorization has refused (AuthorizationAttributes), when that is the error;
    never sent."""
    valueless = False
    """Whether the message and causes are known to hold no value of an object, so that they may be kept."""
    warnings: Sequence[str] = ()
    """The warnings of the decoder about a body that is refused."""

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        message = short(message, self.longest, QUOTED)
        super().__init__(message)
        self.message = message
        self.details = details
        self.headers = headers

    def status(self) -> dict[str, Any]:
        """The Status object; `reason` and `details` are left out when empty, as upstream does."""
        out: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            out["reason"] = self.reason
        if self.details is not None:
            out["details"] = {name: _bounded(value) for name, value in self.details.items()}
        out["code"] = self.code
        return out


def _bounded(value: Any, longest: int = QUOTED) -> Any:
    """A member of details without the long texts that a client may have sent;
    those of causes may be longer."""
    if isinstance(value, str):
        return short(value, longest)
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    if isinstance(value, dict):
        return {name: _bounded(item, 2 * OBJECT) for name, item in value.items()}
    return value


class Unknown(StatusError):
    """A 500 without a reason, as upstream answers errors that it does not classify."""

    reason = ""


class Unprocessable(StatusError):
    """A 422 without a reason (errors.NewGenericServerResponse of a patch that cannot be applied)."""

    code, reason = 422, "Invalid"


class BadRequest(StatusError):
    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    code, reason = 403, "Forbidden"
    longest = 16 * QUOTED
    """Rules that somebody lacks, and violations of a policy, are listed."""


class NotFound(StatusError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(StatusError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    code, reason = 406, "NotAcceptable"


class Conflict(StatusError):
    code, reason = 409, "Conflict"


class FieldConflicts(Conflict):
    """The conflicts of an apply, one line for each field; api/changes/apply.py bounds them."""

    longest = 128 * QUOTED


class AlreadyExists(StatusError):
    code, reason = 409, "AlreadyExists"


class _WithContinue(StatusError):
    continue_token = ""
    """The continue token of the Status's own metadata, with which a list can be resumed."""

    def status(self) -> dict[str, Any]:
        out = super().status()
        if self.continue_token:
            out["metadata"] = {"continue": self.continue_token}
        return out


class Expired(_WithContinue):
    code, reason = 410, "Expired"


class RequestEntityTooLarge(StatusError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    code, reason = 422, "Invalid"
    longest = 4 * OBJECT
    """The causes are bounded one by one, and all together (api/values/fields.py)."""


class TooManyRequests(StatusError):
    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    code, reason = 503, "ServiceUnavailable"


class InsufficientStorage(StatusError):
    code, reason = 507, "InsufficientStorage"


class Timeout(StatusError):
    code, reason = 504, "Timeout"


def qualified(group: str, resource: str) -> str:
    """`deployments.apps`, or `pods` in the core group: how messages name a resource or a kind."""
    return f"{resource}.{group}" if group else resource


def _details(group: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if kind:
        out["kind"] = kind
    out.update(more)
    return out


def not_found(group: str, resource: str, name: str) -> NotFound:
    """`pods "x" not found`; details name the resource (apimachinery errors.NewNotFound)."""
    return NotFound(
        f"{qualified(group, resource)} {quote(name)} not found", details=_details(group, resource, name)
    )


def already_exists(group: str, resource: str, name: str) -> AlreadyExists:
    """`pods "x" already exists` (apimachinery errors.NewAlreadyExists)."""
    return AlreadyExists(
        f"{qualified(group, resource)} {quote(name)} already exists", details=_details(group, resource, name)
    )


def conflict(group: str, resource: str, name: str, why: str) -> Conflict:
    """A failed optimistic lock or precondition (apimachinery errors.NewConflict)."""
    return Conflict(
        f"Operation cannot be fulfilled on {qualified(group, resource)} {quote(name)}: {why}",
        details=_details(group, resource, name),
    )


def forbidden(group: str, resource: str, name: str, why: str) -> Forbidden:
    """`pods "x" is forbidden: why`; without a name the quotes are left out (errors.NewForbidden)."""
    what = qualified(group, resource)
    subject = f"{what} {quote(name)} is forbidden" if name else f"{what} is forbidden"
    message = f"{subject}: {why}" if resource else f"forbidden: {why}"
    return Forbidden(message, details=_details(group, resource, name))


def internal(text: str) -> InternalError:
    """A 500 with its cause in the details (errors.NewInternalError)."""
    return InternalError(f"Internal error occurred: {text}", details={"causes": [{"message": text}]})


def invalid(group: str, kind: str, name: str, causes: Sequence[Mapping[str, str]]) -> Invalid:
    """A 422 with its causes, each `{reason, message, field}` (errors.NewInvalid)."""
    texts = list(
        dict.fromkeys(f"{c['field']}: {c['message']}" for c in causes)
    )  # a repeated cause is told once
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f"{qualified(group, kind)} {quote(name)} is invalid"
    if texts:
        message += f": {joined}"
    return Invalid(message, details=_details(group, kind, name, causes=[dict(c) for c in causes]))
