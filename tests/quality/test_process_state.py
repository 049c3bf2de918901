"""State that belongs to the process instead of a server must be in a list, with a reason for each entry."""

import ast
from collections.abc import Iterator
from pathlib import Path

from syntax import parsed

import pilothouse

SOURCE = Path(pilothouse.__file__).parent
EMPTY = {
    "set",
    "dict",
    "list",
    "OrderedDict",
    "defaultdict",
    "deque",
    "WeakKeyDictionary",
    "WeakValueDictionary",
}
KEEPING = {"KnownTexts", "RememberedRule", "Cache", "_Negotiator", "lru_cache", "cache", "memo"}

CONSTANTS = {
    "admission/podsecurity/checks.py:EMPTY",
    "api/structural/schema.py:_NONE",
    "api/structural/validate.py:_NONE",
    "controllers/garbage.py:_UNKNOWN",
    "endpoints/objects/watch.py:NO_QUERY",
}
"""Empty, and nothing is ever put into them."""

FROM_THE_RELEASE = {
    "admission/podsecurity/evaluator.py:checks",
    "api/types/depth.py:may_be_deep",
    "controllers/bootstrap.py:node_rules",
    "registry/encoding.py:_by_key",
    "registry/encoding.py:_reader",
    "registry/fields.py:_shared_extractor",
    "api/types/meta_kinds.py:_own",
    "api/changes/strategies.py:places",
    "api/changes/strategies.py:_strategies",
    "api/validate/shown.py:_order",
    "api/types/schema.py:_package",
    "api/types/schema.py:_scalars",
    "api/types/schema.py:_types",
    "api/types/schema.py:index",
    "api/types/scheme.py:served",
    "configuration/config.py:settings",
    "registry/groups/autoscaling.py:_VERSIONS",
    "registry/groups/core/resources.py:EVENT_VERSIONS",
    "registry/printers/tables.py:_builtin",
    "registry/printers/tables.py:_builtin_columns",
    "registry/printers/tables.py:_data",
}
"""Data of the release in a form that is made on first use. The same for every server."""

ANSWERS_OF_PURE_FUNCTIONS = {
    "admission/quota/evaluators.py:evaluator",
    "api/expressions/admission.py:_plain",
    "metrics/instruments.py:_spread",
    "api/structural/formats.py:_re2",
    "registry/catalog.py:_enabled",
    "api/expressions/devices.py:environment",
    "api/defaults/core.py:pull_policy",
    "api/meta.py:_second",
    "api/values/names.py:_port_names",
    "api/values/addresses.py:_strict_address",
    "api/values/networks.py:networks",
    "flowcontrol/borrowing.py:allocate",
    "api/values/addresses.py:parse_ip",
    "api/values/quantity.py:parse",
    "registry/printers/tables.py:_remembered_finder",
    "api/structural/patterns.py:_large",
    "api/structural/patterns.py:_small",
    "api/validate/pod/container.py:_other_probe",
    "api/validate/pod/container.py:_ports",
    "api/validate/pod/container.py:_readiness_probe",
    "api/validate/pod/container.py:_without_claims",
    "api/validate/pod/resources.py:_quality",
    "api/validate/resources.py:is_whole",
    "api/values/warnings.py:_is_sendable",
    "authn/keys.py:_private",
    "authn/x509.py:roots",
    "endpoints/request/negotiation.py:_discovery",
    "endpoints/request/negotiation.py:_objects",
    "endpoints/request/negotiation.py:_objects_or_tables",
    "endpoints/request/negotiation.py:_plain",
    "endpoints/request/negotiation.py:_unstructured",
}
"""Bounded memory of functions whose answer depends on their argument alone,
so it is right for every server."""

OF_THE_PROCESS = {
    "api/yaml/text.py:_reader": "a module, once it is imported",
    "api/yaml/text.py:_writer": "a module, once it is imported",
    "caches.py:MEMOS": "sizes of the memos above, for metrics",
    "logs.py:_allowed": "--v and --vmodule: standard error is one",
    "logs.py:_level": "--v and --vmodule: standard error is one",
    "logs.py:_modules": "--v and --vmodule: standard error is one",
    "server/openssl.py:loaded": "the library that the process has loaded",
    "server/openssl.py:readable": "whether the Python of the process has a known layout",
    "server/unknown_clients.py:_setter": (
        "OpenSSL's functions, and the one that they call: the library is one"
    ),
    "testing/ports.py:_given": "ports that tests of this process were given",
}


def kept(tree: ast.Module) -> Iterator[str]:
    """Names of a module that keep something between calls."""
    for node in [*tree.body, *(n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body)]:
        if isinstance(node, ast.FunctionDef) and any(name_of(d) in KEEPING for d in node.decorator_list):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_store(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (ast.unparse(target) for target in targets)
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            yield from inner.names


def name_of(node: ast.expr) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_store(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    return isinstance(value, ast.Call) and (
        name_of(value) in KEEPING or (name_of(value) in EMPTY and not value.args)
    )


def test_all_state_of_the_process_is_listed() -> None:
    found = {
        f"{file.relative_to(SOURCE)}:{name}"
        for file in SOURCE.rglob("*.py")
        for name in kept(parsed(file.read_text()))
    }
    listed = CONSTANTS | FROM_THE_RELEASE | ANSWERS_OF_PURE_FUNCTIONS | OF_THE_PROCESS.keys()
    assert sorted(found - listed) == [], "state that a second server would share"
    assert sorted(listed - found) == [], "gone"
