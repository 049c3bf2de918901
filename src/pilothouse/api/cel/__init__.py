"""The Common Expression Language with the libraries of Kubernetes:
parser, checker, estimate of costs; evaluated by `_cel`.

Other packages import the language only from here. Of the program around it the language uses what
`host.py` imports.
"""

from pilothouse.api.cel._cel import (
    NONE,
    CostLimitExceeded,
    Duration,
    EvaluationError,
    Lookup,
    Optional,
    Shape,
    Struct,
    Timestamp,
    TypeValue,
    UInt,
    view,
)
from pilothouse.api.cel.environment import Environment
from pilothouse.api.cel.errors import CompileError
from pilothouse.api.cel.escaping import escape, unescape
from pilothouse.api.cel.function_library import Library
from pilothouse.api.cel.libraries.authorizer import (
    AUTHORIZER,
    RESOURCE_CHECK,
    AuthorizerCheck,
    CheckDecision,
    CheckQuestion,
    ResourceCheck,
)
from pilothouse.api.cel.libraries.quantities import QUANTITY
from pilothouse.api.cel.libraries.registered import BINDINGS, JSON_PATCH
from pilothouse.api.cel.limits import PER_CALL
from pilothouse.api.cel.native import as_json
from pilothouse.api.cel.program import BudgetExceeded, CostBudget, Program, ProgramError, ResultError
from pilothouse.api.cel.sizes import MOST, Range, Sizes, ValuePath
from pilothouse.api.cel.types import (
    ANY,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    StructField,
    list_of,
    map_of,
    object_type,
    optional_of,
    struct,
)

__all__ = [
    "ANY",
    "AUTHORIZER",
    "BINDINGS",
    "BOOL",
    "BYTES",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "JSON_PATCH",
    "MOST",
    "NONE",
    "NULL",
    "PER_CALL",
    "QUANTITY",
    "RESOURCE_CHECK",
    "STRING",
    "TIMESTAMP",
    "UINT",
    "AuthorizerCheck",
    "BudgetExceeded",
    "CelType",
    "CheckDecision",
    "CheckQuestion",
    "CompileError",
    "CostBudget",
    "CostLimitExceeded",
    "Duration",
    "Environment",
    "EvaluationError",
    "Library",
    "Lookup",
    "Optional",
    "Program",
    "ProgramError",
    "Range",
    "ResourceCheck",
    "ResultError",
    "Shape",
    "Sizes",
    "Struct",
    "StructField",
    "Timestamp",
    "TypeValue",
    "UInt",
    "ValuePath",
    "as_json",
    "escape",
    "list_of",
    "map_of",
    "object_type",
    "optional_of",
    "struct",
    "unescape",
    "view",
]
