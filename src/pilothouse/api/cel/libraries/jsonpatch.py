"""The library with which mutating policies write JSON patches (Kubernetes' pkg/cel/library/jsonpatch.go)."""

from pilothouse.api.cel import estimates
from pilothouse.api.cel.functions import Functions, Overload, walk
from pilothouse.api.cel.types import STRING


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


FUNCTIONS: Functions = {
    "jsonpatch.escapeKey": (
        Overload(
            "string_jsonpatch_escapeKey_string",
            (STRING,),
            STRING,
            _escape,
            cost=walk,
            estimate=estimates.copied,
        ),
    ),
}
