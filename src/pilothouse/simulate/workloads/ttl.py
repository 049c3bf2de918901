"""Deletes finished jobs after the time that they name (pkg/controller/ttlafterfinished)."""

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.job.outcome import COMPLETE, FAILED, is_true
from pilothouse.simulate.workloads.moments import elapsed
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler


class FinishedJobs(Reconciler):
    """Deletes jobs some time after their end."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "batch/v1", "jobs", "ttl-after-finished-controller")

    async def reconcile(self, obj: Object) -> float | None:
        conditions = (obj.get("status") or {}).get("conditions")
        end = is_true(conditions, COMPLETE) or is_true(conditions, FAILED)
        limit = obj["spec"].get("ttlSecondsAfterFinished")
        metadata = obj["metadata"]
        if end is None or limit is None or metadata.get("deletionTimestamp"):
            return None
        left = limit - elapsed(self.clock, end["lastTransitionTime"])
        if left > 0:
            return float(left)
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": metadata["uid"]}}
        await self.client.delete(self.resource, metadata["namespace"], metadata["name"], options)
        return None
