"""DenyServiceExternalIPs: services take no external IPs that they do not have already (CVE-2020-8554)."""

from pilothouse.admission.chain import Plugin
from pilothouse.registry.admission import AdmissionAttributes


class DenyServiceExternalIPs(Plugin):
    name = "DenyServiceExternalIPs"

    def wants(self, a: AdmissionAttributes) -> bool:
        return (
            a.resource.group_resource == "services"
            and not a.subresource
            and a.operation in ("CREATE", "UPDATE")
        )

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        wanted = (a.obj.get("spec") or {}).get("externalIPs") or ()
        had = ((a.old or {}).get("spec") or {}).get("externalIPs") or ()
        if not set(wanted).issubset(had):
            raise a.refuse("Use of external IPs is denied by admission control")
