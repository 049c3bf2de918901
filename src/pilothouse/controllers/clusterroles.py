"""Gathers the rules of aggregated cluster roles, as the built-in admin, edit and view are.

A cluster role with an aggregationRule has the rules of all cluster roles that its selectors match (upstream:
kube-controller-manager's clusterroleaggregation). What somebody else writes into its rules is put back.
"""

from collections.abc import Iterable, Iterator

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client

GROUP = "rbac.authorization.k8s.io"
ROLES = f"clusterroles.{GROUP}"
MANAGER = "clusterrole-aggregation-controller"


class ClusterRoleAggregation(Background):
    """Follows cluster roles; `client` acts as MANAGER."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.roles = client.resource(GROUP, "v1", "clusterroles")
        self.queue = WorkQueue("cluster-roles", self._sync, metrics=client.metrics)
        self._aggregated: set[str] = set()
        self._started = False

    def start(self) -> None:
        """Look at each aggregated role once, when all roles are known."""
        self.client.readers.subscribe(ROLES, self._changed)
        self._started = True
        self._look()

    async def close(self) -> None:
        await self.queue.close()

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = key.rpartition("/")[2]
        if new is not None and new.get("aggregationRule"):
            self._aggregated.add(name)
        else:
            self._aggregated.discard(name)
        if self._started:
            self._look()

    def _look(self) -> None:
        for each in self._aggregated:
            self.queue.add(each)

    async def _sync(self, name: str) -> None:
        role = self.client.readers.get(ROLES, "", name)
        if role is None or not role.get("aggregationRule"):
            return
        rules = distinct(self._matched(role))
        if rules == (role.get("rules") or []):
            return
        config = {"metadata": {"name": name}, "rules": rules}
        try:
            await self.client.apply(self.roles, name, config, uid=role["metadata"]["uid"])
        except (errors.NotFound, errors.Conflict):
            return

    def _matched(self, role: Object) -> Iterator[Object]:
        """The rules of the other roles that an aggregated one selects, selector by selector."""
        own = role["metadata"]["name"]
        for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
            wanted = selectors.from_label_selector(selector)
            for other in self.client.readers.list(ROLES):
                metadata = other["metadata"]
                if metadata["name"] != own and wanted.matches_labels(metadata.get("labels")):
                    yield from other.get("rules") or ()


def distinct(rules: Iterable[Object]) -> list[Object]:
    """Rules in their order, each once."""
    return list({identity(rule): rule for rule in rules}.values())
