"""authorization.k8s.io/v1: access reviews."""

from pilothouse.registry.groups.records import review

GROUP = "authorization.k8s.io"

RESOURCES = [
    review(GROUP, "LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True),
    review(GROUP, "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    review(GROUP, "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    review(GROUP, "SubjectAccessReview", "subjectaccessreviews"),
]
