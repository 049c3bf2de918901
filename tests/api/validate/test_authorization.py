"""Every cause that access reviews can have (pkg/apis/authorization/validation)."""

from rules import at, below, table

from pilothouse.api.validate import authorization as rules

SUBJECT, LOCAL, SELF = rules.validate_subject_access, rules.validate_local_subject_access, rules.validate_self_subject_access
GET = {"verb": "get", "resource": "pods"}
PATH = {"path": "/x", "verb": "get"}
of = at({}, "spec", {})
BOTH = of(user="u", resourceAttributes=GET, nonResourceAttributes=PATH)
selecting = at({}, "spec.resourceAttributes", GET)
FIELD = {"rawSelector": "a=b", "requirements": [{"key": ""}, {"key": "k", "operator": "Exists", "values": ["v"]}]}
LABEL = {"requirements": [{"key": "-", "operator": "In", "values": ["-"]}, {"key": "k", "operator": "In"}]}

test_causes = table([
    *((rule, of(user="u", resourceAttributes=GET)) for rule in (SUBJECT, LOCAL, SELF)),
    *((rule, of(user="u"), "spec.resourceAttributes=null : exactly one of nonResourceAttributes or resourceAttributes must be specified") for rule in (SUBJECT, LOCAL, SELF)),
    *((rule, BOTH, 'spec.nonResourceAttributes={"Path":"/x","Verb":"get"} : cannot be specified in combination with resourceAttributes', *more)
        for rule, more in ((SUBJECT, ()), (LOCAL, ['spec.nonResourceAttributes={"Path":"/x","Verb":"get"} : disallowed on this kind of request']), (SELF, ()))),
    (SUBJECT, of(resourceAttributes=GET), 'spec.user="" : at least one of user or group must be specified'),
    (LOCAL, {"metadata": {"namespace": "own"}, **of(groups=["g"], resourceAttributes={**GET, "namespace": "other"})}, "spec.resourceAttributes.namespace : must match metadata.namespace"),
    (LOCAL, of(groups=["g"], nonResourceAttributes=PATH), 'spec.nonResourceAttributes={"Path":"/x","Verb":"get"} : disallowed on this kind of request'),
    (SELF, {"metadata": {"labels": {"a": "b"}, "managedFields": [{}]}, **of(resourceAttributes=GET)}, "metadata : must be empty"),
    (SELF, selecting(fieldSelector=FIELD, labelSelector=LABEL), *below("spec.resourceAttributes", ".fieldSelector.rawSelector : may not specified at the same time as requirements",
        ".fieldSelector.requirements[0].key! : must be specified", ".fieldSelector.requirements[1].values- : may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ".labelSelector.requirements[0].key : <name part>", ".labelSelector.requirements[0].values[0] : <label value>",
        ".labelSelector.requirements[1].values! : must be specified when `operator` is 'In' or 'NotIn'")),
    (SELF, selecting(fieldSelector={}), "spec.resourceAttributes.fieldSelector.requirements! : when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required"),
])  # fmt: skip
