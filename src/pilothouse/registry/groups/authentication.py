"""authentication.k8s.io/v1: who is this token, who am I."""

from pilothouse.registry.groups.records import review

GROUP = "authentication.k8s.io"

RESOURCES = [
    review(GROUP, "SelfSubjectReview", "selfsubjectreviews"),
    review(GROUP, "TokenReview", "tokenreviews"),
]
