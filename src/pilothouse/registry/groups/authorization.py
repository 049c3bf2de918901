"""authorization.k8s.io/v1: access reviews."""

from pilothouse.registry.groups.records import review
from pilothouse.registry.resource import Action

GROUP = "authorization.k8s.io"

RESOURCES = [
    review(
        GROUP,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        Action.LOCAL_SUBJECT_ACCESS_REVIEW,
        namespaced=True,
    ),
    review(GROUP, "SelfSubjectAccessReview", "selfsubjectaccessreviews", Action.SELF_SUBJECT_ACCESS_REVIEW),
    review(GROUP, "SelfSubjectRulesReview", "selfsubjectrulesreviews", Action.SELF_SUBJECT_RULES_REVIEW),
    review(GROUP, "SubjectAccessReview", "subjectaccessreviews", Action.SUBJECT_ACCESS_REVIEW),
]
