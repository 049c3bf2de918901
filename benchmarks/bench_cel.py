"""Evaluation and compilation of expressions, beside plain Python and cel-expr-python."""

from typing import Any

import pytest

from pilothouse.api.cel import BOOL, DYN, CostBudget, Environment
from pilothouse.api.expressions.limits import PER_OBJECT
from pilothouse.api.expressions.schema_types import declare

RULE = (
    "object.metadata.name.startsWith('web') && has(object.spec.nodeSelector) "
    "&& object.spec.restartPolicy == 'Always' && object.spec.replicas < 10 "
    "&& !('skip' in object.metadata.labels)"
)
WALK = "object.spec.containers.all(c, c.image.startsWith('registry/') && c.name != '')"
POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "labels": {"app": "web", "tier": "front"}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "restartPolicy": "Always",
        "replicas": 3,
        "containers": [{"name": f"c{i}", "image": f"registry/app:{i}"} for i in range(3)],
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"}},
}
ENVIRONMENT = Environment({"object": DYN})


def plain_rule(pod: dict[str, Any]) -> bool:
    meta, spec = pod["metadata"], pod["spec"]
    return bool(
        meta["name"].startswith("web")
        and "nodeSelector" in spec
        and spec["restartPolicy"] == "Always"
        and spec["replicas"] < 10
        and "skip" not in meta["labels"]
    )


@pytest.mark.parametrize("version", ["compiled", "plain", "cel-expr-python"])
def test_rule_of_five_terms(benchmark: Any, version: str) -> None:
    if version == "plain":
        assert benchmark(plain_rule, POD)
    elif version == "compiled":
        program, bindings = ENVIRONMENT.compile(RULE, BOOL), {"object": POD}
        assert benchmark(lambda: program.evaluate(bindings, CostBudget(PER_OBJECT)))
    else:
        cel = pytest.importorskip("cel_expr_python.cel")
        other = cel.NewEnv(variables={"object": cel.Type.DYN}).compile(RULE)
        assert benchmark(lambda: other.eval(data={"object": POD}).value())


def test_walk_over_containers(benchmark: Any) -> None:
    program, bindings = ENVIRONMENT.compile(WALK, BOOL), {"object": POD}
    assert benchmark(lambda: program.evaluate(bindings, CostBudget(PER_OBJECT)))


def test_compile_a_rule(benchmark: Any) -> None:
    declared = declare(SCHEMA, "self")
    assert declared is not None
    environment = Environment({"self": declared.type, "oldSelf": declared.type})
    benchmark(environment.compile, "self.min <= self.max && self.name != ''", BOOL)
