"""AlwaysAdmit and AlwaysDeny: plugins for tests of clients.
The one does nothing, the other refuses everything."""

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes


class AlwaysAdmit(AdmissionPlugin):
    name = "AlwaysAdmit"


class AlwaysDeny(AdmissionPlugin):
    name = "AlwaysDeny"

    def mutate(self, a: AdmissionAttributes) -> None:
        raise a.refuse("admission control is denying all modifications")

    def validate(self, a: AdmissionAttributes) -> None:
        raise a.refuse("admission control is denying all modifications")
