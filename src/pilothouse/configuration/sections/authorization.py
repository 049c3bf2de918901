"""The authorizers, and the uses of their answers beside single requests."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, authorization, own
from pilothouse.process.frozen import frozen

MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")


@frozen(eq=False)
class AuthorizationOptions(Section):
    """The authorizers, and the uses of their answers beside single requests."""

    # fmt: off
    authorization_config: str = authorization("", "file",
        "AuthorizationConfiguration: the authorizers in their order.")
    authorization_mode: tuple[str, ...] = authorization((), "strings",
        "Authorizers in their order: AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node. Default: "
        "Node,RBAC.")
    authorization_policy_file: str = authorization("", "file", "ABAC policy.")
    authorization_webhook_cache_authorized_ttl: float = authorization(300.0, "duration",
        "Time for which the webhook's yes is kept.")
    authorization_webhook_cache_unauthorized_ttl: float = authorization(30.0, "duration",
        "Time for which the webhook's no is kept.")
    authorization_webhook_config_file: str = authorization("", "file",
        "kubeconfig of the authorization webhook.")
    authorization_webhook_version: str = authorization("v1beta1", "string",
        "Version of the SubjectAccessReview sent to the webhook.")
    end_revoked_requests: bool = own(False, "bool",
        "End open watches, logs, exec and other streams within seconds when their users' credentials or "
        "rights are gone.")
    list_permitted_namespaces: bool = own(False, "bool",
        "Answer lists and watches across namespaces, by users who may not make them, with those namespaces "
        "in which they may, and a warning.")
    # fmt: on

    @property
    def modes(self) -> tuple[str, ...]:
        """The authorizers in their order; unlike upstream's AlwaysAllow,
        the default lets nobody in without a rule."""
        return self.authorization_mode or ("Node", "RBAC")

    def faults(self) -> Iterator[str]:
        """Yield the faults: modes that are unknown, and those that lack their files."""
        modes, webhook = self.authorization_mode, self.authorization_webhook_config_file
        if self.authorization_config and (modes or webhook):
            yield (
                "--authorization-config can not be specified when --authorization-mode or "
                "--authorization-webhook-* flags are defined"
            )
        for mode in modes:
            if mode not in MODES:
                yield f'authorization-mode "{mode}" is not a valid mode'
        if len(set(modes)) != len(modes):
            yield f"authorization-mode [{' '.join(modes)}] has mode specified more than once"
        if "ABAC" in modes and not self.authorization_policy_file:
            yield "authorization-mode ABAC's authorization policy file not passed"
        if self.authorization_policy_file and "ABAC" not in modes:
            yield "cannot specify --authorization-policy-file without mode ABAC"
        if "Webhook" in modes and not webhook:
            yield "authorization-mode Webhook's authorization config file not passed"
        if webhook and "Webhook" not in modes:
            yield "cannot specify --authorization-webhook-config-file without mode Webhook"
