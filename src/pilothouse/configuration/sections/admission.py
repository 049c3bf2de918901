"""The plugins that change and judge writes."""

from collections.abc import Callable, Container, Iterator

from pilothouse.configuration.entry_points import Offered
from pilothouse.configuration.sections.section import Section, admission
from pilothouse.process.frozen import frozen

PLUGINS = (
    "AlwaysAdmit",
    "NamespaceAutoProvision",
    "NamespaceLifecycle",
    "NamespaceExists",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "AlwaysPullImages",
    "ImagePolicyWebhook",
    "PodSecurity",
    "PodNodeSelector",
    "Priority",
    "DefaultTolerationSeconds",
    "PodTolerationRestriction",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "DenyServiceExternalIPs",
    "PodTopologyLabels",
    "NodeDeclaredFeatureValidator",
    "PodResizeValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
    "AlwaysDeny",
)
"""The admission plugins that there are."""

GATED_PLUGINS = ("PodGroupProtection", "PodGroupWorkloadExists", "JobValidation")
"""The plugins that do nothing in kube-apiserver either unless the alpha feature GenericWorkload is on."""


@frozen(eq=False)
class AdmissionOptions(Section):
    """The plugins that change and judge writes."""

    # fmt: off
    admission_control: tuple[str, ...] = admission((), "strings",
        "The admission plugins, in full.",
        gone="Use --enable-admission-plugins or --disable-admission-plugins instead.")
    admission_control_config_file: str = admission("", "file",
        "AdmissionConfiguration: settings of admission plugins.")
    default_not_ready_toleration_seconds: int = admission(300, "int",
        "Toleration of not-ready that is added to every pod without one.")
    default_unreachable_toleration_seconds: int = admission(300, "int",
        "Toleration of unreachable that is added to every pod without one.")
    disable_admission_plugins: tuple[str, ...] = admission((), "strings",
        "Admission plugins to leave out though they are on by default.")
    enable_admission_plugins: tuple[str, ...] = admission((), "strings",
        "Admission plugins to use beside the default ones; their order does not matter.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: tolerations below 0 seconds."""
        yield from self.negative(
            "default_not_ready_toleration_seconds", "default_unreachable_toleration_seconds"
        )

    def plugin_faults(self, installed: Callable[[], list[Offered]]) -> Iterator[str]:
        """Yield the plugins that are unknown, or that flags both enable and disable.

        `installed` gives the plugins of installed packages; it is called where flags may mean them.
        """
        enable, disable, control = (
            self.enable_admission_plugins,
            self.disable_admission_plugins,
            self.admission_control,
        )
        known = {*PLUGINS, *GATED_PLUGINS}
        if enable or control or not known.issuperset(disable):
            offers = installed()
            yield from _ambiguous(offers, known)
            known |= {one.name for one in offers}
        if control and (enable or disable):
            yield (
                "admission-control and enable-admission-plugins/disable-admission-plugins flags are "
                "mutually exclusive"
            )
        for flag, names in (
            ("admission-control", control),
            ("enable-admission-plugins", enable),
            ("disable-admission-plugins", disable),
        ):
            for name in names:
                if name not in known:
                    yield f'{flag} plugin "{name}" is unknown'
        both = set(enable) & set(disable)
        if both:
            yield (
                f"[{' '.join(sorted(both))}] in enable-admission-plugins and disable-admission-plugins"
                " overlapped"
            )


def _ambiguous(offers: list[Offered], known: Container[str]) -> Iterator[str]:
    """Plugins of packages that are called as a built-in one, or as one of another package."""
    packages: dict[str, str] = {}
    for one in offers:
        if one.name in known:
            yield (
                f'the package {one.package} offers an admission plugin "{one.name}": so is a built-in one'
                " called"
            )
        elif one.name in packages:
            yield (
                f"the packages {packages[one.name]} and {one.package} both offer an admission plugin"
                f' "{one.name}"'
            )
        packages.setdefault(one.name, one.package)
