"""DenyServiceExternalIPs: services take no external IPs that they do not have already (CVE-2020-8554)."""

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes


class DenyServiceExternalIPs(AdmissionPlugin):
    name = "DenyServiceExternalIPs"
    about = (About(WRITES, ("services",)),)

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        wanted = (a.obj.get("spec") or {}).get("externalIPs") or ()
        had = ((a.old or {}).get("spec") or {}).get("externalIPs") or ()
        if not set(wanted).issubset(had):
            raise a.refuse("Use of external IPs is denied by admission control")
