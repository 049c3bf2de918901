"""Which mutating policies and webhooks of a request run a second time
(apiserver webhook/mutating reinvocationcontext.go)."""

from collections.abc import Hashable
from dataclasses import field
from typing import Generic, TypeVar

from pilothouse.api.changes.patch import copy
from pilothouse.api.values import equality
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.admission import AdmissionAttributes

K = TypeVar("K", bound=Hashable)


@record
class Reinvocations(Generic[K]):
    """The memory of one plugin about a request in Reinvocation.state.

    ran: those with the reinvocationPolicy IfNeeded that were invoked and have seen every change since. due:
    those that run again. output: the object as the plugin left it,
    None when nothing has run that may have to run again.
    """

    ran: set[K] = field(default_factory=set)
    due: set[K] = field(default_factory=set)
    output: Object | None = None

    def changed(self) -> None:
        """The object has changed: those that ran are due."""
        self.due |= self.ran
        self.ran = set()

    async def begin(self, a: AdmissionAttributes) -> None:
        """Called before the plugin invokes anything:
        in a second round, whether others have changed the object since."""
        again = a.reinvocation is not None and a.reinvocation.again
        if again and self.output is not None and not await a.work.run(equality.same, self.output, a.obj):
            self.changed()

    async def end(self, a: AdmissionAttributes) -> None:
        """Called when the plugin has invoked all."""
        self.output = await a.work.run(copy, a.obj) if self.ran and a.obj is not None else None
