"""The variables of the expressions of policies and match conditions."""

import pytest

from pilothouse.api.cel import BOOL, INT, STRING, CompileError, list_of
from pilothouse.api.expressions import admission, mutations

PLAIN = admission.environment(params=False)


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("object.metadata.name", "dyn"),
        ("oldObject == null", "bool"),
        ("request.userInfo.extra['a'][0]", "string"),
        ("request.namespace + request.kind.kind", "string"),
        ("request.options", "dyn"),
        ("namespaceObject.metadata.creationTimestamp", "timestamp"),
        ("namespaceObject.status.conditions[0].type", "string"),
        ("authorizer.requestResource.check('get').allowed()", "bool"),
        ("authorizer.group('').resource('pods').check('get').allowed()", "bool"),
    ],
)
def test_variables(text: str, type: str) -> None:
    assert str(PLAIN.compile(text).type) == type


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params.a", "undeclared reference to 'params'"),
        ("variables.a", "undeclared reference to 'variables'"),
        ("request.uid", "undefined field 'uid'"),
        ("namespaceObject.metadata.managedFields", "undefined field 'managedFields'"),
        ("Object{}", "undeclared reference to 'Object'"),
    ],
)
def test_what_is_not_there(text: str, words: str) -> None:
    with pytest.raises(CompileError, match=words):
        PLAIN.compile(text)


def test_parameters_and_no_authorizer() -> None:
    environment = admission.environment(params=True, authorizer=False)
    assert str(environment.compile("params.a").type) == "dyn"
    with pytest.raises(CompileError, match="undeclared reference to 'authorizer'"):
        environment.compile("authorizer.path('/').check('get').allowed()", BOOL)


def test_variables_of_a_policy_are_seen_by_those_after_them() -> None:
    composition = admission.Composition()
    environment = admission.environment(params=False, composition=composition)
    with pytest.raises(CompileError, match="undefined field 'a'"):
        environment.compile("variables.a")
    composition.add("a", list_of(INT))
    composition.add("refused", None)
    composition.add("amount", environment.compile("quantity('1')").type)
    assert str(environment.compile("variables.a[0]").type) == "int"
    assert str(environment.compile("variables.refused").type) == "dyn"
    assert str(environment.compile("variables.amount").type) == "dyn"


def test_objects_of_mutations() -> None:
    environment = admission.environment(params=False, patches=True)
    made = environment.compile("Object{spec: Object.spec{replicas: 1}}", mutations.APPLY_CONFIGURATION)
    assert str(made.type) == "Object"
    patch = "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: 1}]"
    assert str(environment.compile(patch, list_of(mutations.JSON_PATCH_OPERATION)).type) == "list(JSONPatch)"
    with pytest.raises(CompileError, match="undefined field 'verb'"):
        environment.compile("JSONPatch{verb: 'add'}")
    assert str(environment.compile("JSONPatch{op: 'add'}.op", STRING).type) == "string"
