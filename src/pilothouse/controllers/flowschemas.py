"""Sets the condition Dangling of flow schemas: whether their priority level exists."""

from collections.abc import Iterable
from functools import partial

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client

GROUP = "flowcontrol.apiserver.k8s.io"
MANAGER = "api-priority-and-fairness-config-consumer-v1"
SCHEMAS, LEVELS = f"flowschemas.{GROUP}", f"prioritylevelconfigurations.{GROUP}"


class FlowSchemaStatus(Background):
    """Follows flow schemas and priority levels; `client` acts as MANAGER."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.schemas = client.resource(GROUP, "v1", "flowschemas")
        self.queue = WorkQueue("flow-schemas", self._sync, metrics=client.metrics)

    def start(self) -> None:
        """Look at each schema once, when all levels are known."""
        readers = self.client.readers
        readers.follow(LEVELS, self._level_changed)
        judge = partial(self._unsettled, readers.follow(SCHEMAS, self._schema_changed))
        names = readers.judged(MANAGER, (LEVELS, SCHEMAS), judge)
        for name in judge() if names is None else names:
            self.queue.add(name)

    def _unsettled(self, schemas: Iterable[Object]) -> tuple[str, ...]:
        """The names of schemas whose condition is to be set."""
        return tuple(
            schema["metadata"]["name"]
            for schema in schemas
            if not _has(schema, self._condition(_level(schema)))
        )

    async def close(self) -> None:
        await self.queue.close()

    def _schema_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is not None and not _has(new, self._condition(_level(new))):
            self.queue.add(new["metadata"]["name"])

    def _level_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is not None and old is not None:
            return
        name = key.rpartition("/")[2]
        for schema in self.client.readers.list(SCHEMAS):
            if _level(schema) == name:
                self.queue.add(schema["metadata"]["name"])

    async def _sync(self, name: str) -> None:
        schema = self.client.readers.get(SCHEMAS, "", name)
        if schema is None:
            return
        condition, old = self._condition(_level(schema)), _dangling(schema)
        if _has(schema, condition):
            return
        if old.get("status") == condition["status"]:
            condition["lastTransitionTime"] = old.get("lastTransitionTime")
        else:
            condition["lastTransitionTime"] = self.client.now()
        config = {"metadata": {"name": name}, "status": {"conditions": [condition]}}
        try:
            await self.client.apply(
                self.schemas, name, config, subresource="status", uid=schema["metadata"]["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return

    def _condition(self, level: str) -> Object:
        found = self.client.readers.get(LEVELS, "", level) is not None
        what = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
        return {
            "type": "Dangling",
            "status": "False" if found else "True",
            "reason": "Found" if found else "NotFound",
            "message": f"{what} and it exists" if found else f"{what} but there is no such object",
        }


def _dangling(schema: Object) -> Object:
    """The condition of a schema, {} when it has none."""
    known = (schema.get("status") or {}).get("conditions") or ()
    return next((one for one in known if one.get("type") == "Dangling"), {})


def _has(schema: Object, condition: Object) -> bool:
    """Whether a schema has a condition, whenever it came to have it."""
    known = _dangling(schema)
    return all(known.get(member) == value for member, value in condition.items())


def _level(schema: Object) -> str:
    name: str = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name", "")
    return name
