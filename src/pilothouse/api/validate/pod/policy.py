"""A server's policy for pods (pkg/capabilities), and its memory of valid pod specs."""

from pilothouse.api.values.fields import Object
from pilothouse.caches import Cache, CacheBudget

UID_BYTES = 88
"""The memory of a UID: a text of 36 characters and its head."""


class PodPolicy:
    """The policy of one server; the rules for pods and pod templates take it as an argument.

    allow_privileged: the flag --allow-privileged.
    """

    __slots__ = ("_valid", "allow_privileged")

    def __init__(self, allow_privileged: bool = False, budget: CacheBudget | None = None) -> None:
        """`budget` is that of the server's caches; without it, no pod is remembered."""
        self.allow_privileged = allow_privileged
        self._valid: Cache[str, bool] | None = None
        if budget is not None:
            self._valid = Cache("valid_pods", budget, each=UID_BYTES)

    def remember_valid(self, pod: Object) -> None:
        """Remember that all rules for a pod's spec were applied without errors."""
        if self._valid is not None:
            self._valid.put(pod["metadata"].get("uid", ""), True)

    def found_valid(self, pod: Object) -> bool:
        """Whether this spec, or one from which a valid update made it, was found valid."""
        return self._valid is not None and self._valid[pod["metadata"].get("uid", "")] is not None


STRICT = PodPolicy()
"""Allows nothing that needs a flag, and remembers nothing."""
