"""The groups, versions and resources that are served, and the version that is told."""

from collections.abc import Mapping

from pilothouse.configuration.sections.section import Section, api_enablement, everywhere, generic
from pilothouse.process.frozen import frozen
from pilothouse.process.version import GIT_VERSION


@frozen(eq=False)
class APIOptions(Section):
    """The groups, versions and resources that are served, and the version that is told."""

    # fmt: off
    emulated_version: tuple[str, ...] = generic((), "strings",
        "Versions whose behaviour is imitated.", effective=False)
    emulation_forward_compatible: bool = generic(False, "bool",
        "Serve newer API versions while an older one is imitated.", effective=False)
    feature_gates: Mapping[str, bool] = generic({}, "gates",
        "Features to switch on or off, as Name=true,Other=false.", effective=False)
    min_compatibility_version: tuple[str, ...] = generic((), "strings",
        "Oldest version that other servers of the cluster may have.", effective=False)
    runtime_config: Mapping[str, str] = api_enablement({}, "configuration",
        "API versions and resources to switch on or off, as group/version=true, or group/version for on; "
        "api/v1 is the core group, api/all, api/ga, api/beta and api/alpha stand for many.")
    runtime_config_emulation_forward_compatible: bool = generic(False, "bool",
        "Let --runtime-config name newer API versions while an older one is imitated.", effective=False)
    version: str = everywhere("", "version",
        "Print the version and stop; vX.Y.Z... sets the version that is reported.")
    # fmt: on

    @property
    def reported_version(self) -> str:
        """The version that /version and the metrics tell: that of --version, or our own."""
        return self.version if self.version.startswith("v") else GIT_VERSION

    def flow_control_off(self) -> str:
        """The setting of --runtime-config that switches the API of flow control off, "" for none."""
        for name in ("flowcontrol.apiserver.k8s.io/v1", "api/ga", "api/all"):
            value = self.runtime_config.get(name)
            if value is not None:
                return name if value == "false" else ""
        return ""
