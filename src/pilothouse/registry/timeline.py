"""The timeline of one request, which is kept while it is carried out, so that it can be explained later:
names, times and paths, no values."""

from time import perf_counter
from typing import Any, NamedTuple

MOST = 256
"""Steps and marks that are kept of a request: a deletecollection asks every plugin once for each object."""
TEXT = 1024
"""Characters of a text that are kept."""
PATHS = 16
"""Paths that are kept of what one plugin, webhook or policy has changed."""


class AdmissionStep(NamedTuple):
    """One plugin, webhook or policy that was asked.
    A webhook or policy comes before the plugin that has asked it.

    phase: `admit` or `validate`. plugin: its name. name: of the webhook or the policy, "" for the plugin
    itself. by: the configuration or the binding that it is called by. verdict: "" when the request goes on.
    text: why it does not, or what went wrong. changed: the paths of what it has changed in the object. ended:
    when it had answered, by time.perf_counter(); 0 for the plugin itself.
    """

    phase: str
    plugin: str
    seconds: float
    name: str = ""
    by: str = ""
    verdict: str = ""
    text: str = ""
    changed: tuple[str, ...] = ()
    ended: float = 0.0


class Timeline:
    """The steps of a write, the moments at which its stages ended, and what the store has said.

    revision: of the commit, 0 without one; `stored` are the seconds that the store took. changed: paths that
    the plugin which runs now has changed so far.
    """

    __slots__ = ("changed", "marks", "revision", "steps", "stored")

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        """The steps; each has the first members of an AdmissionStep."""
        self.marks: list[tuple[str, float]] = []
        self.changed: list[str] = []
        self.revision = 0
        self.stored = 0.0

    def mark(self, stage: str) -> None:
        """A stage has ended."""
        if len(self.marks) < MOST:
            self.marks.append((stage, perf_counter()))

    def asked(self, phase: str, plugin: str, seconds: float, error: BaseException | None = None) -> None:
        """A plugin was asked; `error` is how it has refused."""
        steps = self.steps
        if len(steps) >= MOST:
            return
        if error is None and not self.changed:  # PERF: most plugins, of most requests
            steps.append((phase, plugin, seconds))
            return
        verdict, text = ("", "") if error is None else ("refused", cut(str(error)))
        changed, self.changed = tuple(dict.fromkeys(self.changed))[:PATHS], []
        steps.append((phase, plugin, seconds, "", "", verdict, text, changed))

    def called(
        self,
        phase: str,
        plugin: str,
        name: str,
        by: str,
        seconds: float,
        verdict: str = "",
        text: str = "",
        changed: tuple[str, ...] = (),
    ) -> None:
        """A webhook was called, or a policy evaluated."""
        if not changed:
            changed, self.changed = tuple(dict.fromkeys(self.changed))[:PATHS], []
        if len(self.steps) < MOST:
            self.steps.append((phase, plugin, seconds, name, by, verdict, cut(text), changed, perf_counter()))

    def committed(self, revision: int, seconds: float) -> None:
        """The store has carried out the write."""
        self.revision, self.stored = revision, seconds


def cut(text: str, limit: int = TEXT) -> str:
    """A text of at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
