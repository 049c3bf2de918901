"""The library with which mutating policies write JSON patches (Kubernetes' pkg/cel/library/jsonpatch.go)."""

from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload, walk
from pilothouse.api.cel.sizes import Estimate, Sized, Sizer
from pilothouse.api.cel.types import STRING


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _estimate(self: Sizer, target: object, args: list[Sized]) -> Estimate:
    size = self.size_of(args[0])
    return Estimate(size.times(STRING_FACTOR), size)


FUNCTIONS: Functions = {
    "jsonpatch.escapeKey": (
        Overload(
            "string_jsonpatch_escapeKey_string", (STRING,), STRING, _escape, cost=walk, estimate=_estimate
        ),
    ),
}
