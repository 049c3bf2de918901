"""Strategic merge patch (apimachinery util/strategicpatch): a merge patch that merges lists by keys.

Directives: `$patch` (replace, delete, merge), `$retainKeys`, `$deleteFromPrimitiveList/field` and
`$setElementOrder/field`. Errors for which upstream has no reason are errors.Unknown (500).
`_strategic` merges; strategies.py knows strategies and merge keys.
"""

from typing import Any

from pilothouse import errors, gotext
from pilothouse.api.changes._strategic import check_shape, merge_map
from pilothouse.api.changes.patch import decode_object
from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Errors, Object

__all__ = ["apply", "apply_patch", "check_shape", "shown"]


def apply_patch(live: Object, body: bytes, type: Type, strict: bool = True) -> tuple[Any, list[str]]:
    """Merge the patch into the live object;
    returns it with the messages of strict decoding about the patch."""
    try:
        patch, notes = decode_object(body)
    except ValueError as err:
        raise errors.BadRequest(str(err)) from None
    patched = apply(live, patch or {}, type)
    try:
        check_shape(patched, type, live)
    except ValueError as err:
        errs = Errors()
        errs.invalid_object("patch", shown(body), str(err))
        raise errors.invalid("", "", "", errs.causes) from None
    return patched, notes if strict else []


def shown(body: bytes) -> str:
    """A patch that decodes, as messages show it."""
    return gotext.value(decode_object(body)[0] or {})


def apply(live: Object, patch: Object, type: Type) -> Object:
    """Merge `patch`, which is consumed, into `live` by the patch strategies of `type`; a new object.

    Parts of `live` that the patch does not change are shared with it.
    """
    return merge_map(live, patch, type)
