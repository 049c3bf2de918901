"""authentication.k8s.io/v1: token reviews and self subject reviews."""

from pilothouse.registry.groups.records import review

GROUP = "authentication.k8s.io"

RESOURCES = [
    review(GROUP, "SelfSubjectReview", "selfsubjectreviews"),
    review(GROUP, "TokenReview", "tokenreviews"),
]
