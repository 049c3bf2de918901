"""Moves deployments to their templates, by the sizes of their replica sets."""

from collections.abc import Callable
from dataclasses import field

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import from_label_selector
from pilothouse.gotext import quote
from pilothouse.process.record import record
from pilothouse.simulate.workloads.deployment import revisions, rolling, status
from pilothouse.simulate.workloads.deployment.revisions import size
from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, plain_facts
from pilothouse.simulate.workloads.ownership import Claims
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler

CREATE_ERROR = "ReplicaSetCreateError"


@record
class _Rollout:
    """One look at a deployment: its sets, and what its status is to say."""

    deployment: Object
    new: Object | None
    old: list[Object]
    conditions: list[Object]
    collisions: int
    revision: str = ""

    sets: list[Object] = field(init=False)

    def __post_init__(self) -> None:
        self.sets = [*self.old, *([self.new] if self.new is not None else [])]


class Deployments(Reconciler):
    """Makes, scales and deletes the replica sets of deployments."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "apps/v1", "deployments", "deployment-controller")
        self.sets = self.client.resource("apps", "v1", "replicasets")
        self.index = ObjectIndex(self.client, self.sets, plain_facts)
        self.claims = Claims(self.client, self.sets)

    def follows(self) -> list[Callable[[], None]]:
        return [self.index.listen(self._set_changed), self.pods.listen(self._pod_changed)]

    def _set_changed(self, new: Indexed | None, old: Indexed | None) -> None:
        for one in (new, old):
            if one is not None and one.owner_kind == "Deployment":
                self.enqueue(one.namespace, one.owner_name)
        if new is not None and not new.owner and not new.deleting:
            for obj in self.client.readers.list("deployments.apps", new.namespace):
                if from_label_selector(obj["spec"]["selector"]).matches_labels(new.labels):
                    self.enqueue(new.namespace, obj["metadata"]["name"])

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        """Look at a deployment that waits for its old pods to end."""
        if old is None or old.owner_kind != "ReplicaSet" or (new is not None and not new.ended):
            return
        owner = self.index.find(old.namespace, old.owner_name)
        if owner is not None and owner.owner_kind == "Deployment":
            self.enqueue(owner.namespace, owner.owner_name)

    # One look

    async def reconcile(self, obj: Object) -> float | None:
        view = await self._look(obj)
        if obj["metadata"].get("deletionTimestamp"):
            await self._write(view, self._numbers(view))
            return None
        view.conditions = status.pause_or_resume(obj, view.conditions, self._now())
        await self._follow_new(view)
        if obj["spec"].get("paused") or rolling.was_scaled(obj, view.sets):
            await self._scale_all(view)
            if obj["spec"].get("paused"):
                await self._clean(view)
            view = self._again(view)
            await self._write(view, self._numbers(view))
            return None
        await self._roll(view)
        view = self._again(view)
        numbers = self._numbers(view)
        if status.is_complete(obj, numbers):
            await self._clean(view)
        numbers = status.with_progress(obj, numbers, view.sets, view.new, self.clock)
        await self._write(view, numbers)
        return status.until_deadline(obj, numbers, self.clock)

    async def _look(self, obj: Object) -> _Rollout:
        metadata = obj["metadata"]
        candidates = [*self.index.owned(metadata["uid"]), *self.index.strays(metadata["namespace"])]
        await self.claims.claim(obj, from_label_selector(obj["spec"]["selector"]), candidates)
        have = obj.get("status") or {}
        return self._view(obj, list(have.get("conditions") or ()), have.get("collisionCount") or 0)

    def _view(self, obj: Object, conditions: list[Object], collisions: int) -> _Rollout:
        owned = [self.index.object(facts) for facts in self.index.owned(obj["metadata"]["uid"])]
        sets = [one for one in owned if one is not None]
        new = revisions.find_new(obj, sets)
        return _Rollout(obj, new, [one for one in sets if one is not new], conditions, collisions)

    def _again(self, view: _Rollout) -> _Rollout:
        """The same with the sets as they are by now."""
        after = self._view(view.deployment, view.conditions, view.collisions)
        after.revision = view.revision
        return after

    def _now(self) -> str:
        return self.clock.stamp()

    # Replica sets

    async def _roll(self, view: _Rollout) -> None:
        """Take the next step of the strategy."""
        obj = view.deployment
        if (obj["spec"].get("strategy") or {}).get("type") == "Recreate":
            await self._recreate(view)
            return
        new = await self._new_set(view)
        if new is None:
            return
        if view.new is not None:
            number = rolling.new_size(obj, new, view.sets)
            if number != size(new):
                await self._scale(view, new, number)
                return
        for one, number in rolling.old_sizes(obj, new, view.old):
            await self._scale(view, one, number)

    async def _recreate(self, view: _Rollout) -> None:
        if rolling.total(view.old):
            for one in view.old:
                await self._scale(view, one, 0)
        elif not any(revisions.counts(one, "replicas") for one in view.old) and not self._old_pods(view):
            new = await self._new_set(view)
            if new is not None and view.new is not None:
                await self._scale(view, new, size(view.deployment))

    def _old_pods(self, view: _Rollout) -> bool:
        """Whether pods of old sets have not ended yet."""
        return any(not pod.ended for one in view.old for pod in self.pods.owned(one["metadata"]["uid"]))

    async def _follow_new(self, view: _Rollout) -> None:
        """Bring the set of the deployment's template up to date, when there is one, and tell its revision."""
        obj = view.deployment
        if view.new is None:
            return
        number = max(revisions.next_revision(view.old), revisions.revision(view.new))
        annotations = revisions.annotations_of(obj, view.new, number)
        least = obj["spec"].get("minReadySeconds") or 0
        have = view.new["metadata"].get("annotations") or {}
        if annotations != have or (view.new["spec"].get("minReadySeconds") or 0) != least:

            def edit(live: Object) -> None:
                live["metadata"]["annotations"] = annotations
                live["spec"].pop("minReadySeconds", None)
                if least:
                    live["spec"]["minReadySeconds"] = least

            await self._change_set(view.new, edit)
        view.revision = str(number)
        if status.deadline(obj) is not None:
            self._found(view)

    def _found(self, view: _Rollout) -> None:
        assert view.new is not None
        if not any(one["type"] == status.PROGRESSING for one in view.conditions):
            note = f"Found new replica set {quote(view.new['metadata']['name'])}"
            view.conditions = status.progress(
                view.conditions, "True", "FoundNewReplicaSet", note, self._now()
            )

    async def _new_set(self, view: _Rollout) -> Object | None:
        """The set of the deployment's template, made when there is none;
        None when it could not be made yet."""
        if view.new is None:
            return await self._create(view, revisions.next_revision(view.old))
        return view.new

    async def _create(self, view: _Rollout, number: int) -> Object | None:
        obj = view.deployment
        replicas = rolling.new_size(obj, None, view.sets)
        annotations = revisions.annotations_of(obj, None, number)
        annotations |= revisions.sizes(size(obj), rolling.bounds(obj)[0])
        made, _ = self.sets.decode_value(revisions.new_set(obj, view.collisions, annotations, replicas))
        name = made["metadata"]["name"]
        try:
            if not await self.client.create(self.sets, made):
                view.collisions += 1  # the write of the status leads to the next attempt
                return None
        except errors.StatusError as err:
            note = f"Failed to create new replica set {quote(name)}: {err}"
            if status.deadline(obj) is not None:
                view.conditions = status.progress(view.conditions, "False", CREATE_ERROR, note, self._now())
                await self._write(view, self._numbers(view))
            self.events.warning(obj, CREATE_ERROR, note)
            raise
        if replicas:
            self._told(obj, "up", name, 0, replicas)
        view.revision = str(number)
        if status.deadline(obj) is not None:
            note = f"Created new replica set {quote(name)}"
            view.conditions = status.progress(
                view.conditions, "True", "NewReplicaSetCreated", note, self._now()
            )
        return self.client.readers.get("replicasets.apps", obj["metadata"]["namespace"], name)

    async def _scale_all(self, view: _Rollout) -> None:
        """Follow a new size of the deployment while nothing rolls."""
        for one, number in rolling.proportional(view.deployment, view.new, view.old):
            await self._scale(view, one, number)

    async def _scale(self, view: _Rollout, one: Object, number: int) -> None:
        obj = view.deployment
        notes = revisions.sizes(size(obj), rolling.bounds(obj)[0])
        have = one["metadata"].get("annotations") or {}
        if number == size(one) and all(have.get(name) == text for name, text in notes.items()):
            return

        def edit(live: Object) -> None:
            live["spec"]["replicas"] = number
            live["metadata"]["annotations"] = (live["metadata"].get("annotations") or {}) | notes

        if await self._change_set(one, edit) and number != size(one):
            way = "up" if number > size(one) else "down"
            self._told(obj, way, one["metadata"]["name"], size(one), number)

    def _told(self, obj: Object, way: str, name: str, before: int, after: int) -> None:
        note = f"Scaled {way} replica set {name} from {before} to {after}"
        self.events.normal(obj, "ScalingReplicaSet", note)

    async def _change_set(self, one: Object, edit: Callable[[Object], None]) -> bool:
        metadata = one["metadata"]
        try:
            await self.client.change(
                self.sets, metadata["namespace"], metadata["name"], edit, uid=metadata["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return False
        return True

    async def _clean(self, view: _Rollout) -> None:
        """Delete old sets beyond the limit of the history."""
        limit = view.deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == status.NO_DEADLINE:
            return
        for one in revisions.surplus_history(view.old, limit):
            metadata = one["metadata"]
            options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
            await self.client.delete(self.sets, metadata["namespace"], metadata["name"], options)

    # Status

    def _numbers(self, view: _Rollout) -> Object:
        return status.status_of(view.deployment, view.sets, view.new, view.conditions, self._now())

    async def _write(self, view: _Rollout, numbers: Object) -> None:
        """Write the status, and with it the annotation that tells the revision."""
        obj = view.deployment
        numbers = {**numbers, "collisionCount": view.collisions or None}
        have = obj.get("status") or {}
        told = (obj["metadata"].get("annotations") or {}).get(revisions.REVISION, "")
        if all(have.get(k) == v for k, v in numbers.items()) and view.revision in ("", told):
            return

        def edit(live: Object) -> None:
            merged = {**(live.get("status") or {}), **numbers}
            live["status"] = {name: value for name, value in merged.items() if value is not None}
            if view.revision:
                annotations = live["metadata"].get("annotations") or {}
                live["metadata"]["annotations"] = annotations | {revisions.REVISION: view.revision}

        await self.change_status(obj, edit)
