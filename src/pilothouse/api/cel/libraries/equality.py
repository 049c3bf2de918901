"""The estimate of `==`: values of some libraries have costs of their own (apiserver pkg/cel/library)."""

from pilothouse.api.cel import estimates
from pilothouse.api.cel.functions import STRING_FACTOR
from pilothouse.api.cel.sizes import Estimate, Range, Sized, Sizer, fixed

_CHEAP = frozenset(
    (
        "net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver",
        "kubernetes.authorization.Authorizer", "kubernetes.authorization.PathCheck",
        "kubernetes.authorization.GroupCheck", "kubernetes.authorization.ResourceCheck",
        "kubernetes.authorization.Decision",
    )
)  # fmt: skip
_MAX_FORMAT = 64
"""Characters of the name of a format."""


def equality(sizer: Sizer, left: Sized, right: Sized) -> Estimate:
    """The comparison of two values."""
    if left.type.text == right.type.text:
        if left.type.name in _CHEAP:
            return Estimate(fixed(1))
        if left.type.name == "kubernetes.NamedFormat":
            return Estimate(Range(1, _MAX_FORMAT).times(STRING_FACTOR))
        if left.type.name == "kubernetes.URL":
            most = right.size.most if right.size is not None else 1
            return Estimate(Range(1, most).times(STRING_FACTOR))
    return estimates.compared(sizer, left, right)
