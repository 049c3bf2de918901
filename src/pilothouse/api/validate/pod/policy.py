"""What a server allows to pods (pkg/capabilities), and which pods it has found valid."""

from pilothouse.api.fields import Object
from pilothouse.caches import Budget, Cache


class PodPolicy:
    """The policy of one server; the rules of pods and of pod templates take it as an argument.

    allow_privileged: --allow-privileged.
    """

    __slots__ = ("_valid", "allow_privileged")

    def __init__(self, allow_privileged: bool = False, budget: Budget | None = None) -> None:
        """`budget` is that of the server's caches; without one no pod is remembered."""
        self.allow_privileged = allow_privileged
        self._valid: Cache[str, bool] | None = Cache("valid_pods", budget) if budget is not None else None

    def remember_valid(self, pod: Object) -> None:
        """Note that all rules of a pod's spec were applied and nothing was found."""
        if self._valid is not None:
            self._valid.put(pod["metadata"].get("uid", ""), True)

    def found_valid(self, pod: Object) -> bool:
        """Whether the spec was found valid, as it was then or as its own rules have let it change since."""
        return self._valid is not None and self._valid[pod["metadata"].get("uid", "")] is not None


STRICT = PodPolicy()
"""Nothing is allowed that needs a flag, and nothing is remembered."""
