"""The plugin ResourceQuota."""

from collections.abc import Awaitable, Callable, Sequence

from pilothouse.admission.about import CREATE, UPDATE, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.quota.evaluators import IGNORED, SPECIAL, evaluator
from pilothouse.admission.quota.judge import Limited, QuotaRequest, limited_from
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.api.values.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class ResourceQuota(AdmissionPlugin):
    """Charges what is written to the quotas of its namespace, and refuses what exceeds one.

    `limited` is what nothing may be used of where no quota counts it. The ledger knows of no quota before it
    follows the cluster.
    """

    name = "ResourceQuota"
    about = (
        About((CREATE,), ("*", "pods/resize"), but=IGNORED),
        About((UPDATE,), (*SPECIAL, "pods/resize")),
    )

    def __init__(self, ledger: Ledger | None = None, limited: Sequence[Limited] = ()) -> None:
        self.ledger = ledger or Ledger()
        self.limited = limited

    def prepare(self, section: Object | None) -> Callable[[], None]:
        limited = limited_from(section or {})

        def use() -> None:
            self.limited = limited

        return use

    def wants(self, a: AdmissionAttributes) -> bool:
        """Whether something limits what is stored in the namespace."""
        return (
            (a.namespace in self.ledger.quotas or bool(self.limited and a.namespace))
            and a.resource.namespaced
            and bool(a.resource.key_prefix)
        )

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        found = evaluator(a.resource.group_resource)
        if not found.handles(a):
            return None
        return self._charge(a, QuotaRequest(a, found, self.limited))

    async def _charge(self, a: AdmissionAttributes, question: QuotaRequest) -> None:
        charge = self.ledger.charge(question)
        a.undo.append(charge.give_back)
        await charge.outcome()
