"""Horizontal pod autoscalers without metrics: bounds are kept,
and conditions say that metrics cannot be had."""

from collections.abc import Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.gotext import label_selector, quote
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import dig, put
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.conditions import condition, with_condition, without
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.simulate.workloads.scale import path_of, scalable
from pilothouse.storage._entry import Entry

KINDS = (("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"))
"""Resources whose changes autoscalers follow; others are looked at with each change of the autoscaler."""
ABLE, ACTIVE = "AbleToScale", "ScalingActive"
UNABLE = "the HPA was unable to compute the replica count: "
NO_RESOURCE = (
    "failed to get {name} {what}: unable to get metrics for resource {name}: unable to fetch metrics from "
    "resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
)
NO_EXTERNAL = (
    "unable to get external metric {namespace}/{name}/{selector}: unable to fetch metrics from external "
    "metrics API: the server could not find the requested resource (get {name}.external.metrics.k8s.io)"
)
NO_OTHER = (
    "unable to get metric {name}: unable to fetch metrics from custom metrics API: "
    "no custom metrics API (custom.metrics.k8s.io) registered"
)
_REASONS = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


_VALUES = {
    "Resource": "failed to get {name} resource metric value: ",
    "ContainerResource": "failed to get {container} container metric value: ",
    "Pods": "failed to get pods metric value: ",
    "Object": "failed to get object metric value: ",
    "External": "failed to get {name} external metric value: failed to get external metric {name}: ",
}


class _Target(NamedTuple):
    resource: Resource
    obj: Object

    @property
    def replicas(self) -> int:
        return int(dig(self.obj, path_of(self.resource)) or 0)


class Autoscalers(Reconciler):
    """Keeps targets within the bounds of their autoscalers."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "autoscaling/v2", "horizontalpodautoscalers", "horizontal-pod-autoscaler")

    def follows(self) -> list[Callable[[], None]]:
        resources = [self.client.resource(group, "v1", plural) for group, plural in KINDS]
        return [follow(self.client, one, self._listener(one)) for one in resources]

    def _listener(self, resource: Resource) -> Callable[[Entry | None, Entry | None], None]:
        def changed(new: Entry | None, old: Entry | None) -> None:
            entry = new if new is not None else old
            assert entry is not None
            namespace, _, name = entry.key.removeprefix(resource.key_prefix).partition("/")
            for obj in self.client.readers.list(self.resource.group_resource, namespace):
                target = obj["spec"]["scaleTargetRef"]
                if (target["kind"], target["name"]) == (resource.kind, name):
                    self.enqueue(namespace, obj["metadata"]["name"])

        return changed

    async def reconcile(self, obj: Object) -> None:
        if obj["metadata"].get("deletionTimestamp"):
            return
        conditions = list((obj.get("status") or {}).get("conditions") or ())
        target = self._target(obj)
        if target is None:
            note = f"the HPA controller was unable to get the target's current scale: {_missing(obj)}"
            self.events.warning(obj, "FailedGetScale", _missing(obj))
            conditions = self._say(conditions, ABLE, "False", "FailedGetScale", note)
            have = obj.get("status") or {}
            numbers = have.get("currentReplicas") or 0, have.get("desiredReplicas") or 0
            await self._write(obj, conditions, *numbers, metrics=have.get("currentMetrics"))
            return
        note = "the HPA controller was able to get the target's current scale"
        conditions = self._say(conditions, ABLE, "True", "SucceededGetScale", note)
        spec, have = obj["spec"], target.replicas
        least, most = spec.get("minReplicas"), spec["maxReplicas"]
        bounded = min(max(have, 1 if least is None else least), most)
        if have == 0 and least != 0:
            note = "scaling is disabled since the replica count of the target is zero"
            conditions = self._say(conditions, ACTIVE, "False", "ScalingDisabled", note)
            await self._write(obj, conditions, 0, 0)
        elif bounded != have:
            await self._scale(obj, target, bounded, conditions)
        else:
            reason, message = _without_metrics(obj)
            self.events.warning(obj, reason, message.removeprefix(UNABLE))
            self.events.warning(obj, "FailedComputeMetricsReplicas", _all_invalid(obj, message))
            conditions = self._say(conditions, ACTIVE, "False", reason, message)
            desired = (obj.get("status") or {}).get("desiredReplicas") or 0
            unknown: list[Object] = [{"type": ""} for _ in obj["spec"].get("metrics") or ()]
            await self._write(obj, conditions, have, desired, metrics=unknown)

    def _target(self, obj: Object) -> _Target | None:
        named = obj["spec"]["scaleTargetRef"]
        resource = scalable(self.client, named.get("apiVersion", ""), named["kind"])
        if resource is None:
            return None
        entry = self.client.store.entry(resource, obj["metadata"]["namespace"], named["name"])
        return _Target(resource, decode(entry)) if entry is not None else None

    async def _scale(self, obj: Object, target: _Target, number: int, conditions: list[Object]) -> None:
        """Bring a target within the bounds."""
        above = number < target.replicas
        bound = "above Spec.MaxReplicas" if above else "below Spec.MinReplicas"
        metadata = target.obj["metadata"]

        def edit(live: Object) -> None:
            put(live, path_of(target.resource), number)

        try:
            await self.client.change(
                target.resource, metadata["namespace"], metadata["name"], edit, uid=metadata["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return
        reason = f"Current number of replicas {bound}"
        self.events.normal(obj, "SuccessfulRescale", f"New size: {number}; reason: {reason}")
        note = f"the HPA controller was able to update the target scale to {number}"
        conditions = self._say(without(conditions, ABLE), ABLE, "True", "SucceededRescale", note)
        await self._write(obj, conditions, target.replicas, number, rescaled=True)

    def _say(self, conditions: list[Object], kind: str, status: str, reason: str, note: str) -> list[Object]:
        said = condition(kind, status, reason, note, self.clock.stamp())
        return with_condition(conditions, said, by_reason=False)

    async def _write(
        self,
        obj: Object,
        conditions: list[Object],
        current: int,
        desired: int,
        *,
        metrics: list[Object] | None = None,
        rescaled: bool = False,
    ) -> None:
        status: Object = {
            "currentReplicas": current or None,
            "desiredReplicas": desired,
            "currentMetrics": metrics or None,
            "conditions": conditions,
        }
        if rescaled:
            status["lastScaleTime"] = self.clock.stamp()
        await self.write_status(obj, status)


def _missing(obj: Object) -> str:
    named = obj["spec"]["scaleTargetRef"]
    group = named.get("apiVersion", "").rpartition("/")[0]
    plural = named["kind"].lower() + "s"
    return f"{plural}{'.' + group if group else ''} {quote(named['name'])} not found"


def _without_metrics(obj: Object) -> tuple[str, str]:
    """Reason and message about the first metric, which cannot be had."""
    metrics = obj["spec"].get("metrics") or [{"type": "Resource", "resource": {"name": "cpu"}}]
    kind, source = _first(metrics)
    target = source.get("target") or {}
    what = "utilization" if target.get("averageUtilization") is not None else "usage"
    name = source.get("name") or (source.get("metric") or {}).get("name", "")
    if kind in ("Resource", "ContainerResource"):
        text = NO_RESOURCE.format(name=name, what=what)
    elif kind == "External":
        selector = label_selector((source.get("metric") or {}).get("selector"))
        text = NO_EXTERNAL.format(namespace=obj["metadata"]["namespace"], name=name, selector=selector)
    else:
        text = NO_OTHER.format(name=name)
    return _REASONS[kind], UNABLE + text


def _first(metrics: list[Object]) -> tuple[str, Object]:
    """Type and source of the first metric."""
    kind = metrics[0].get("type", "")
    return kind, metrics[0].get(kind[:1].lower() + kind[1:]) or {}


def _all_invalid(obj: Object, message: str) -> str:
    """The note of the event that no metric can be had."""
    metrics = obj["spec"].get("metrics") or [{}]
    kind, source = _first(metrics)
    name = source.get("name") or (source.get("metric") or {}).get("name", "")
    first = _VALUES.get(kind, "").format(name=name, container=source.get("container")) + message.removeprefix(
        UNABLE
    )
    number = len(metrics)
    return f"invalid metrics ({number} invalid out of {number}), first error is: {first}"
