"""The plugin ResourceQuota."""

from collections.abc import Awaitable, Callable, Sequence

from pilothouse.admission.chain import Plugin
from pilothouse.admission.quota.evaluators import IGNORED, SPECIAL, evaluator
from pilothouse.admission.quota.judge import Limited, Question, limited_from
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class ResourceQuota(Plugin):
    """Charges what is written to the quotas of its namespace, and refuses what exceeds one.

    `limited` is what nothing may be used of where no quota counts it. The ledger knows of no quota before it follows
    the cluster.
    """

    name = "ResourceQuota"

    def __init__(self, ledger: Ledger | None = None, limited: Sequence[Limited] = ()) -> None:
        self.ledger = ledger or Ledger()
        self.limited = limited

    def prepare(self, section: Object | None) -> Callable[[], None]:
        limited = limited_from(section or {})

        def use() -> None:
            self.limited = limited

        return use

    def wants(self, a: AdmissionAttributes) -> bool:
        return (
            (a.namespace in self.ledger.quotas or bool(self.limited and a.namespace))
            and (
                a.operation == "CREATE" or (a.operation == "UPDATE" and a.resource.group_resource in SPECIAL)
            )
            and (not a.subresource or (a.subresource == "resize" and a.resource.group_resource == "pods"))
            and a.resource.namespaced
            and bool(a.resource.key_prefix)
            and a.resource.group_resource not in IGNORED
        )

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        found = evaluator(a.resource.group_resource)
        if not found.handles(a):
            return None
        return self._charge(a, Question(a, found, self.limited))

    async def _charge(self, a: AdmissionAttributes, question: Question) -> None:
        charge = self.ledger.charge(question)
        a.undo.append(charge.give_back)
        await charge.outcome()
