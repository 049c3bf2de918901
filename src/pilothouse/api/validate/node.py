"""Validates node.k8s.io/v1: runtime classes."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import doubles
from pilothouse.api.validate.pod.scheduling import validate_tolerations
from pilothouse.api.validate.resources import validate_requirements
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Errors, Object

rules = Rules(
    __name__,
    tolerations=validate_tolerations,
    overhead=lambda overhead, path, errs: validate_requirements({"limits": overhead}, path, errs),
)


@rules
def _no_doubles(tolerations: list[Object], path: str, errs: Errors) -> None:
    for i in doubles(map(identity, tolerations)):
        errs.duplicate(f"{path}[{i}]", go(tolerations[i], "api.core.v1.Toleration"))


validate_runtime_class = rules.kind("node.k8s.io/v1 RuntimeClass")("""
    handler!                            dns-label
    overhead.podFixed                   overhead as-root:overhead
    scheduling.nodeSelector             labels
    scheduling.tolerations              tolerations no-doubles
""")
validate_runtime_class_update = d.change(d.anew(validate_runtime_class), d.fixed("handler", ""))
