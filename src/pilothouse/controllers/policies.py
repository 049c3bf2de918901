"""Checks the types of validating admission policies, and tells in their status what does not fit.

Upstream: apiserver plugin/policy/validating typechecking.go and kube-controller-manager's
validatingadmissionpolicy-status-controller.
"""

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client

GROUP = "admissionregistration.k8s.io"
MANAGER = "validatingadmissionpolicy-status"


class PolicyStatus(Background):
    """Follows policies, and checks each of their generations once; `client` acts as MANAGER."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.policies = client.resource(GROUP, "v1", "validatingadmissionpolicies")
        self.queue = WorkQueue("validating-admission-policies", self._sync, metrics=client.metrics)

    def start(self) -> None:
        self.client.readers.subscribe(self.policies.group_resource, self._changed)

    async def close(self) -> None:
        await self.queue.close()

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is not None and _outdated(new):
            self.queue.add(new["metadata"]["name"])

    async def _sync(self, name: str) -> None:
        policy = self.client.get(self.policies, "", name)
        if policy is None or not _outdated(policy):
            return
        from pilothouse.controllers.policy_types import warnings_of  # and with it the language

        found = warnings_of(policy["spec"], self.client.catalog)
        status: Object = {
            "observedGeneration": policy["metadata"]["generation"],
            "typeChecking": {"expressionWarnings": found} if found else {},
        }
        config = {"metadata": {"name": name}, "status": status}
        try:
            await self.client.apply(
                self.policies, name, config, subresource="status", uid=policy["metadata"]["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return


def _outdated(policy: Object) -> bool:
    seen: int = (policy.get("status") or {}).get("observedGeneration", 0)
    return bool(policy["metadata"].get("generation", 0) > seen)
