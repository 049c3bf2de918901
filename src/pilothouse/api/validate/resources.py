"""Validates names and quantities of resources of containers, pods, nodes, quotas (apis/core/helper)."""

from collections import Counter
from collections.abc import Callable, Mapping

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import NEGATIVE, NOT_INTEGER, NOT_POSITIVE, report
from pilothouse.api.values import names, quantity
from pilothouse.api.values.fields import Errors, Object, show
from pilothouse.caches import memo
from pilothouse.gotext import quote

COMPUTE = ("cpu", "memory")
CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_PARTS = frozenset(f"{kind}.{name}" for kind in ("requests", "limits") for name in CONTAINER)
_COUNTED = (
    "pods resourcequotas services replicationcontrollers secrets configmaps persistentvolumeclaims"
    " services.nodeports services.loadbalancers"
)
COUNTED = frozenset(_COUNTED.split())
QUOTA = CONTAINER | _PARTS | COUNTED | {"requests.storage"}
STANDARD = QUOTA | {"storage"}
HUGE_PAGES = "hugepages-"

NameRule = Callable[[str, str, Errors], None]

LISTED_LIMIT = 1024
"""Characters of a pod's claims that a message lists, as each wrong claim repeats it; upstream lists all."""

amount = quantity.parse
"""Parses a quantity; short texts are cached, because the same few occur very often."""


@memo("quantities", longest=40, most=4096)
def is_whole(text: str) -> bool:
    """Whether there is no fraction down to thousandths; values beyond an int64 wrap as in upstream."""
    number = amount(text)
    if abs(number.unscaled) < 2**63:
        return number.milli_value() % 1000 == 0
    thousandths = number.rounded_up(quantity.MILLI)
    exponent = thousandths.scale - quantity.MILLI
    if exponent >= 64:
        return True  # a multiple of 2**64 is 0 in an int64
    milli: int = thousandths.unscaled * 10**exponent & (2**64 - 1)
    return (milli - 2**64 if milli >= 2**63 else milli) % 1000 == 0


def is_huge_page(name: str) -> bool:
    return name.startswith(HUGE_PAGES)


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def overcommits(name: str) -> bool:
    """Whether the request may be lower than the limit."""
    return is_native(name) and not is_huge_page(name)


def _is_quota_huge_page(name: str) -> bool:
    return name.startswith((HUGE_PAGES, "requests." + HUGE_PAGES))


def is_quota_standard(name: str) -> bool:
    return name in QUOTA or _is_quota_huge_page(name)


def validate_resource_name(name: str, path: str, errs: Errors) -> None:
    messages = names.qualified_name(name)
    report(path, name, messages, errs)
    if not messages and "/" not in name and not (name in STANDARD or _is_quota_huge_page(name)):
        errs.invalid(path, name, "must be a standard resource type or fully qualified")


def validate_container_resource_name(name: str, path: str, errs: Errors) -> None:
    validate_resource_name(name, path, errs)
    if "/" not in name:
        if not (name in CONTAINER or is_huge_page(name)):
            errs.invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        errs.invalid(path, name, "doesn't follow extended resource name standard")


def validate_pod_resource_name(name: str, path: str, errs: Errors) -> None:
    before = len(errs)
    validate_resource_name(name, path, errs)
    if len(errs) == before and not (name in COMPUTE or is_huge_page(name)):
        errs.not_supported(path, name, ("cpu", HUGE_PAGES, "memory"))


def validate_quota_resource_name(name: str, path: str, errs: Errors) -> None:
    validate_resource_name(name, path, errs)
    if "/" not in name and not is_quota_standard(name):
        errs.invalid(path, name, "must be a standard resource for quota")


def validate_nonnegative_quantity(text: str, path: str, errs: Errors) -> None:
    if amount(text).sign() < 0:
        errs.invalid(path, text, NEGATIVE)


def validate_positive_quantity(text: str, path: str, errs: Errors) -> None:
    if amount(text).sign() <= 0:
        errs.invalid(path, text, NOT_POSITIVE)


def validate_quantity(name: str, text: str, path: str, errs: Errors) -> None:
    """Validates an amount: not negative, and an integer for countable resources."""
    validate_nonnegative_quantity(text, path, errs)
    if (name in COUNTED or is_extended(name)) and not is_whole(text):
        errs.invalid(path, text, NOT_INTEGER)


def validate_basic_quantity(text: str, path: str, errs: Errors) -> None:
    number = amount(text).value()
    if number < 0:
        errs.invalid(path, number, "must be a valid resource quantity")


def validate_quantities(listed: Mapping[str, str] | None, path: str, errs: Errors, rule: NameRule) -> None:
    """Validates a ResourceList, with `rule` for the names."""
    for name, text in sorted((listed or {}).items()):
        rule(name, f"{path}[{name}]", errs)
        validate_quantity(name, text, f"{path}[{name}]", errs)


def huge_page_fault(name: str, text: str) -> bool:
    """Whether an amount of huge pages is not a multiple of their size; False for other resources."""
    if not is_huge_page(name):
        return False
    try:
        size = amount(name.removeprefix(HUGE_PAGES))
    except ValueError:
        return True
    if size.sign() <= 0 or size.milli_value() % 1000 != 0:
        return True
    whole = size.value()  # 0 if it exceeds an int64: no amount is a multiple of that
    return whole == 0 or amount(text).value() % whole != 0


def _validate_huge_page(name: str, text: str, path: str, errs: Errors, any_size: bool) -> None:
    if not any_size and huge_page_fault(name, text):
        errs.invalid(path, text, f"{text} is not positive integer multiple of {name}")


def validate_requirements(
    requirements: Object,
    path: str,
    errs: Errors,
    *,
    rule: NameRule = validate_container_resource_name,
    claims: frozenset[str] = frozenset(),
    any_huge_page: bool = False,
) -> None:
    """Validates requests and limits of a container or pod; `claims` are the names of the pod's claims."""
    limits, requests = requirements.get("limits") or {}, requirements.get("requests") or {}
    limits_path, requests_path = f"{path}.limits", f"{path}.requests"
    for name, text in sorted(limits.items()):
        at = f"{limits_path}[{name}]"
        rule(name, at, errs)
        validate_quantity(name, text, at, errs)
        _validate_huge_page(name, text, at, errs, any_huge_page)
    for name, text in sorted(requests.items()):
        at = f"{requests_path}[{name}]"
        rule(name, at, errs)
        validate_quantity(name, text, at, errs)
        limit = limits.get(name)
        if limit is None:
            if not overcommits(name):
                errs.required(limits_path, "Limit must be set for non overcommitable resources")
        elif amount(text) != amount(limit) and not overcommits(name):
            errs.invalid(requests_path, text, f"must be equal to {name} limit of {limit}")
        elif amount(text) > amount(limit):
            errs.invalid(requests_path, text, f"must be less than or equal to {name} limit of {limit}")
        _validate_huge_page(name, text, at, errs, any_huge_page)
    mentioned = limits.keys() | requests.keys()
    if any(map(is_huge_page, mentioned)) and not mentioned & set(COMPUTE):
        errs.forbidden(path, "HugePages require cpu or memory")
    validate_claim_names(requirements.get("claims") or [], f"{path}.claims", errs, claims)


def validate_claim_names(claims: list[Object], path: str, errs: Errors, known: frozenset[str]) -> None:
    """Validates the claims that a container uses: each once, and each must be one of the pod's."""
    seen: set[str] = set()
    parts: Counter[str] = Counter()  # how often a claim is in `seen`, as a whole or with one of its requests
    shown = claims and _listed(known)
    for i, claim in enumerate(claims):
        at, name, request = f"{path}[{i}]", claim.get("name", ""), claim.get("request", "")
        if not name:
            errs.required(at)
            continue
        if name in seen:
            errs.duplicate(at, name)
        else:
            key = f"{name}/{request}" if request else name
            if request:
                d.dns_label(request, f"{at}.request", errs)
            if key in seen:
                errs.duplicate(at, key)
            elif not request:
                for _ in range(parts[name]):
                    errs.duplicate(at, name)
            if key not in seen:
                seen.add(key)
                parts[key.partition("/")[0]] += 1
        if name not in known:
            text = f"Not found: {show(name)}: must be one of the names in pod.spec.resourceClaims{shown}"
            errs.add("FieldValueNotFound", at, text)


def _listed(known: frozenset[str]) -> str:
    """The names of the pod's claims, for the end of a message."""
    if not known:
        return " which is empty"
    text = ", ".join(sorted(known))
    return f": {text}" if len(text) <= LISTED_LIMIT else f": {text[:LISTED_LIMIT]}..."


def fractional_warning(path: str, listed: Mapping[str, str] | None, name: str) -> list[str]:
    """The warning for a fractional number of bytes."""
    text = (listed or {}).get(name)
    if text is None or is_whole(text):
        return []
    return [f"{path}[{name}]: fractional byte value {quote(text)} is invalid, must be an integer"]
