"""A server's policy for pods (pkg/capabilities), and its memory of valid pod specs."""

from pilothouse.api.validate.pod.templates import Template, key
from pilothouse.api.values.fields import Object
from pilothouse.caches import Cache, CacheBudget, weight

TEMPLATE_BYTES = 64 << 10
"""Bytes of the largest template that is remembered."""
UID_BYTES = 88
"""The memory of a UID: a text of 36 characters and its head."""


class PodPolicy:
    """The policy of one server; the rules for pods and pod templates take it as an argument.

    allow_privileged: the flag --allow-privileged.
    """

    __slots__ = ("_last", "_templates", "_valid", "allow_privileged")

    def __init__(self, allow_privileged: bool = False, budget: CacheBudget | None = None) -> None:
        """`budget` is that of the server's caches; without it, no pod is remembered."""
        self.allow_privileged = allow_privileged
        self._valid: Cache[str, bool] | None = None
        self._last: tuple[Object | None, Template | None] = (None, None)
        self._templates: Cache[tuple[str, ...], Template] | None = None
        if budget is not None:
            self._valid = Cache("valid_pods", budget, each=UID_BYTES)
            self._templates = Cache(
                "pod_templates",
                budget,
                largest=TEMPLATE_BYTES,
                weigh=lambda images, template: weight(images) + template.bytes(),
            )

    def remember_valid(self, pod: Object) -> None:
        """Remember that all rules for a pod's spec were applied without errors."""
        if self._valid is not None:
            self._valid.put(pod["metadata"].get("uid", ""), True)

    def found_valid(self, pod: Object) -> bool:
        """Whether this spec, or one from which a valid update made it, was found valid."""
        return self._valid is not None and self._valid[pod["metadata"].get("uid", "")] is not None

    def template_of(self, spec: Object) -> Template | None:
        """The template of a spec, if valid pods have it and this one differs only in members of its own."""
        if self._templates is None or "ephemeralContainers" in spec:
            return None
        found = self._templates[key(spec)]
        if found is None or not found.fits(spec):
            return None
        self._last = spec, found
        return found

    def remember_template(self, spec: Object) -> None:
        """Remember what a valid spec shares with those of other pods."""
        if self._templates is not None and "ephemeralContainers" not in spec:
            made = Template(spec)
            self._templates.put(key(spec), made)
            self._last = spec, made

    def template_judged(self, spec: Object) -> Template | None:
        """The same for a spec that was just found valid. PERF: the last one is not compared again."""
        judged, template = self._last
        return template if judged is spec else self.template_of(spec)


STRICT = PodPolicy()
"""Allows nothing that needs a flag, and remembers nothing."""
