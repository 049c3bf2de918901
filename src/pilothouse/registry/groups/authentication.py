"""authentication.k8s.io/v1: token reviews and self subject reviews."""

from pilothouse.registry.groups.records import review
from pilothouse.registry.resource import Action

GROUP = "authentication.k8s.io"

RESOURCES = [
    review(GROUP, "SelfSubjectReview", "selfsubjectreviews", Action.SELF_SUBJECT_REVIEW),
    review(GROUP, "TokenReview", "tokenreviews", Action.TOKEN_REVIEW),
]
