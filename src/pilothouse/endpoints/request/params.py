"""Decodes and checks query parameters and delete options
(meta/v1 ListOptions, CreateOptions, DeleteOptions ...)."""

from typing import Any

from pilothouse import errors
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote
from pilothouse.process.record import record

Query = dict[str, list[str]]

FIELD_MANAGER_LIMIT = 128
LONGEST = 100
"""Digits of a number including leading zeros; Python's int() refuses texts of thousands of digits."""
_INT64 = 2**63


@record
class ListParams:
    """ListOptions as the client sent them.
    `limit` below 1 means no limit, `send_initial` None means not given. `by_path`: it is a watch because of
    its path alone (/watch/)."""

    label_selector: str = ""
    field_selector: str = ""
    watch: bool = False
    bookmarks: bool = False
    resource_version: str = ""
    match: str = ""
    limit: int = 0
    token: str = ""
    timeout: int = 0
    send_initial: bool | None = None
    by_path: bool = False


@record
class WriteParams:
    """CreateOptions, UpdateOptions and PatchOptions in one record;
    `asked` is the fieldValidation that was sent, "" for none."""

    dry_run: bool = False
    field_manager: str = ""
    asked: str = ""
    force: bool = False

    @property
    def validation(self) -> str:
        """Strict, Warn or Ignore."""
        return self.asked or "Warn"

    def options(self) -> Object:
        """The members of the options object that admission plugins get."""
        out: Object = {}
        if self.dry_run:
            out["dryRun"] = ["All"]
        if self.field_manager:
            out["fieldManager"] = self.field_manager
        if self.asked:
            out["fieldValidation"] = self.asked
        return out


def first(query: Query, name: str) -> str:
    """The first value of a parameter, "" if it is absent."""
    values = query.get(name)
    return values[0] if values else ""


def boolean(query: Query, name: str) -> bool | None:
    """Convert a value as Go does: anything but `false` and `0` is true; None if the parameter is absent."""
    values = query.get(name)
    if not values:
        return None
    return values[0].lower() not in ("false", "0")


def integer(query: Query, name: str) -> int | None:
    """An int64 parameter, None if it is absent; raises BadRequest with strconv's message."""
    values = query.get(name)
    if not values:
        return None
    return parse_int(values[0])


def parse_int(text: str) -> int:
    """strconv.ParseInt in base 10, with its errors raised as BadRequest."""
    digits = text[1:] if text[:1] in "+-" else text
    if not digits.isascii() or not digits.isdigit():
        raise errors.BadRequest(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    value = int(text) if len(digits) <= LONGEST else _INT64
    if not -_INT64 <= value < _INT64:
        raise errors.BadRequest(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def uint_error(text: str) -> str:
    """The error of strconv.ParseUint for a text, "" if the text is a valid uint64."""
    if not text.isascii() or not text.isdigit():
        return f"strconv.ParseUint: parsing {quote(text)}: invalid syntax"
    if len(text) > 19 and (len(text) > LONGEST or int(text) >= 2**64):
        return f"strconv.ParseUint: parsing {quote(text)}: value out of range"
    return ""


def resource_version(text: str) -> int:
    """A list or watch resourceVersion as a number, 0 if empty;
    raises BadRequest (storage ParseResourceVersion)."""
    if not text:
        return 0
    why = uint_error(text)
    if why:
        raise errors.BadRequest(f'invalid resource version: resourceVersion: Invalid value: "{text}": {why}')
    return int(text)


def cached_version(text: str) -> int:
    """Like resource_version(), as a watch cache tells what is wrong with it: Unknown
    (storage Cacher.Get and Watch)."""
    why = uint_error(text) if text else ""
    if why:
        raise errors.Unknown(f'resourceVersion: Invalid value: "{text}": {why}')
    return int(text or 0)


def list_params(query: Query) -> ListParams:
    """Decode ListOptions with upstream's defaults; raises BadRequest for malformed numbers."""
    if not query:
        return ListParams()
    out = ListParams(
        label_selector=first(query, "labelSelector"),
        field_selector=first(query, "fieldSelector"),
        watch=bool(boolean(query, "watch")),
        bookmarks=bool(boolean(query, "allowWatchBookmarks")),
        resource_version=first(query, "resourceVersion"),
        match=first(query, "resourceVersionMatch"),
        token=first(query, "continue"),
        send_initial=boolean(query, "sendInitialEvents"),
    )
    timeout = integer(query, "timeoutSeconds")
    out.timeout = timeout if timeout is not None else 0
    limit = integer(query, "limit")
    out.limit = limit if limit is not None else 0
    if out.watch and out.send_initial is None and not out.match and out.resource_version in ("", "0"):
        out.send_initial, out.match = True, "NotOlderThan"  # SetListOptionsDefaults
    return out


def check_list(p: ListParams) -> None:
    """Check ListOptions for a list or watch; raises Invalid (ValidateListOptions). Upstream goes by the query
    alone, so a watch by its path has the options of a list."""
    errs = Errors()
    (_check_watch if p.watch and not p.by_path else _check_list)(p, errs)
    errs.raise_if_any("meta.k8s.io", "ListOptions", "")


def _check_list(p: ListParams, errs: Errors) -> None:
    path = "resourceVersionMatch"
    if p.match:
        if not p.resource_version:
            errs.forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if p.token:
            errs.forbidden(path, "resourceVersionMatch is forbidden when continue is provided")
        if p.match not in ("Exact", "NotOlderThan"):
            errs.not_supported(path, p.match, ("Exact", "NotOlderThan", ""))
        if p.match == "Exact" and p.resource_version == "0":
            errs.forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if p.send_initial is not None:
        errs.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _check_watch(p: ListParams, errs: Errors) -> None:
    path = "resourceVersionMatch"
    if p.send_initial is not None and p.match != "NotOlderThan":
        errs.forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if p.match:
        if p.send_initial is None:
            errs.forbidden(
                path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
        if p.match != "NotOlderThan":
            errs.not_supported(path, p.match, ("NotOlderThan",))
        if p.token:
            errs.forbidden(path, "resourceVersionMatch is forbidden when continue is provided")


def write_params(query: Query, kind: str) -> WriteParams:
    """Decode the options of a create, update or patch; `kind` names them in the 422 (CreateOptions ...)."""
    if not query:
        return WriteParams()
    errs = Errors()
    manager, validation = first(query, "fieldManager"), first(query, "fieldValidation")
    dry_run = query.get("dryRun", [])
    _check_manager(manager, errs)
    _check_dry_run(dry_run, errs)
    if validation not in ("", "Ignore", "Strict", "Warn"):
        errs.not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn"))
    errs.raise_if_any("meta.k8s.io", kind, "")
    return WriteParams(bool(dry_run), manager, validation)


def patch_params(query: Query, apply: bool) -> WriteParams:
    """Decode PatchOptions: apply needs a field manager,
    other patches may not force (ValidatePatchOptions)."""
    errs = Errors()
    force = boolean(query, "force")
    if apply:
        if not first(query, "fieldManager"):
            errs.required("fieldManager", "is required for apply patch")
    elif force is not None:
        errs.forbidden("force", "may not be specified for non-apply patch")
    try:
        out = write_params(query, "PatchOptions")
    except errors.Invalid as err:
        for cause in err.details["causes"] if err.details else ():
            errs.add(cause["reason"], cause["field"], cause["message"])
        out = WriteParams()
    errs.raise_if_any("meta.k8s.io", "PatchOptions", "")
    out.force = bool(force)
    return out


def _check_manager(manager: str, errs: Errors) -> None:
    if len(manager.encode()) > FIELD_MANAGER_LIMIT:
        errs.too_long("fieldManager", FIELD_MANAGER_LIMIT)
        manager = manager[:FIELD_MANAGER_LIMIT]  # upstream reports no errors behind the limit
    position = 0
    for char in manager:
        if not char.isprintable():
            errs.invalid(
                "fieldManager", manager, f"invalid character U+{ord(char):04X} (at position {position})"
            )
        position += len(char.encode())


def _check_dry_run(values: list[str], errs: Errors) -> None:
    if any(value != "All" for value in values):
        errs.not_supported("dryRun", values, ("All",))


def delete_from_query(query: Query) -> Object:
    """DeleteOptions from the query string; they apply only to a request without a body."""
    out: Object = {}
    grace = integer(query, "gracePeriodSeconds")
    if grace is not None:
        out["gracePeriodSeconds"] = grace
    orphan = boolean(query, "orphanDependents")
    if orphan is not None:
        out["orphanDependents"] = orphan
    for name in ("propagationPolicy",):
        if query.get(name):
            out[name] = query[name][0]
    if query.get("dryRun"):
        out["dryRun"] = query["dryRun"]
    unsafe = boolean(query, "ignoreStoreReadErrorWithClusterBreakingPotential")
    if unsafe is not None:
        out["ignoreStoreReadErrorWithClusterBreakingPotential"] = unsafe
    return out


def check_delete(options: Object) -> None:
    """Check DeleteOptions; raises Invalid (ValidateDeleteOptions)."""
    errs = Errors()
    policy: Any = options.get("propagationPolicy")
    if policy is not None:
        if "orphanDependents" in options:
            errs.invalid(
                "propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"
            )
        if policy not in ("Foreground", "Background", "Orphan"):
            errs.not_supported("propagationPolicy", policy, ("Foreground", "Background", "Orphan", "nil"))
    _check_dry_run(options.get("dryRun") or [], errs)
    errs.raise_if_any("meta.k8s.io", "DeleteOptions", "")
