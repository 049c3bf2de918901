"""WebhookAdmissionConfiguration: with which credentials webhooks are called
(webhook/config/kubeconfig.go)."""

from pathlib import Path

from pilothouse.api.configfile import ConfigurationError, expect
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.outbound.kubeconfig import Users, read_users

VERSIONS = ("apiserver.config.k8s.io/v1",)
KIND = "WebhookAdmissionConfiguration"


def read(section: Object | None) -> Users:
    """The users of the kubeconfig that a plugin's section names, none without one; ConfigurationError."""
    if section is None:
        return Users()
    expect(section, VERSIONS, KIND, ("kubeConfigFile", "staticManifestsDir"))
    if folder := section.get("staticManifestsDir"):
        raise ConfigurationError(
            f"static webhook manifests dir {quote(str(folder))} configured but"
            " ManifestBasedAdmissionControlConfig feature gate is not enabled"
        )
    file = section.get("kubeConfigFile") or ""
    if not file:
        return Users()
    if not isinstance(file, str) or not Path(file).is_absolute():
        raise ConfigurationError(
            f"kubeConfigFile: Invalid value: {quote(str(file))}: must be an absolute file path"
        )
    try:
        return read_users(Path(file))
    except (OSError, ValueError) as err:
        raise ConfigurationError(str(err)) from None
