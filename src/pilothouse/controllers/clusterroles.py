"""Gathers the rules of aggregated cluster roles, as the built-in admin, edit and view are.

A cluster role with an aggregationRule has the rules of all cluster roles that its selectors match (upstream:
kube-controller-manager's clusterroleaggregation). What somebody else writes into its rules is put back.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

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


class _Judged(NamedTuple):
    """The names of aggregated roles, and of those whose rules are not what they gather."""

    aggregated: tuple[str, ...]
    unsettled: tuple[str, ...]


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
        readers = self.client.readers
        judged = readers.judged(MANAGER, (ROLES,), self._judged)
        if judged is not None:
            self._aggregated.update(judged.aggregated)
            readers.follow(ROLES, self._changed)
            self._started = True
            self._look(judged.unsettled)
            return
        readers.subscribe(ROLES, self._changed)
        self._started = True
        self._look(self._aggregated)

    async def close(self) -> None:
        await self.queue.close()

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = key.rpartition("/")[2]
        if new is not None and new.get("aggregationRule"):
            self._aggregated.add(name)
        else:
            self._aggregated.discard(name)
        if self._started:
            self._look(self._aggregated)

    def _look(self, roles: Iterable[str]) -> None:
        for each in roles:
            self.queue.add(each)

    def _judged(self) -> "_Judged":
        roles = [role for role in self.client.readers.list(ROLES) if role.get("aggregationRule")]
        unsettled = [role for role in roles if distinct(self._matched(role)) != (role.get("rules") or [])]
        return _Judged(*(tuple(role["metadata"]["name"] for role in found) for found in (roles, unsettled)))

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
