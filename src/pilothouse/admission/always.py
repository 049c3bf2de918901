"""AlwaysAdmit and AlwaysDeny: plugins for tests of clients.
The one does nothing, the other refuses everything."""

from pilothouse.admission.chain import Plugin
from pilothouse.registry.admission import AdmissionAttributes


class AlwaysAdmit(Plugin):
    name = "AlwaysAdmit"


class AlwaysDeny(Plugin):
    name = "AlwaysDeny"

    def mutate(self, a: AdmissionAttributes) -> None:
        raise a.refuse("admission control is denying all modifications")

    def validate(self, a: AdmissionAttributes) -> None:
        raise a.refuse("admission control is denying all modifications")
