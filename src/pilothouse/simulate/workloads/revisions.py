"""Controller revisions: the templates that workloads have had (pkg/controller/history)."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import from_label_selector
from pilothouse.registry.client import Client
from pilothouse.simulate.workloads.hashes import revision_hash, template_hash
from pilothouse.simulate.workloads.index import ObjectIndex, plain_facts
from pilothouse.simulate.workloads.ownership import Claims, reference

LABEL = "controller-revision-hash"
HASH = "controller.kubernetes.io/hash"
LONGEST_BASE = 223
ATTEMPTS = 10
"""Names that are tried for a revision."""


class Revision(NamedTuple):
    """The revision of a template, and how often the name of one was taken."""

    obj: Object
    collisions: int

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def hash(self) -> str:
        return str((self.obj["metadata"].get("labels") or {}).get(LABEL) or self.name)


def data_of(template: Object) -> Object:
    """The data of a revision: the patch that brings the template back.

    The members are in the order of Go's maps: stock controllers compare revisions by their bytes.
    """
    data: Object = orjson.loads(
        orjson.dumps({"spec": {"template": {**template, "$patch": "replace"}}}, option=orjson.OPT_SORT_KEYS)
    )
    return data


def template_of(revision: Object) -> Object:
    """The template that a revision holds."""
    held = (revision.get("data") or {}).get("spec", {}).get("template") or {}
    return {name: value for name, value in held.items() if name != "$patch"}


class Revisions:
    """Writes the revisions of the owners of one kind."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.resource = client.resource("apps", "v1", "controllerrevisions")
        self.index = ObjectIndex(client, self.resource, plain_facts)
        self._claims = Claims(client, self.resource)

    def listed(self, owner: Object) -> list[Object]:
        """The revisions of an owner, the oldest first."""
        found = [self.index.object(facts) for facts in self.index.owned(owner["metadata"]["uid"])]
        return sorted((one for one in found if one is not None), key=_number)

    async def current(self, owner: Object, collisions: int, *, labelled_by_hash: bool) -> Revision:
        """The revision of the owner's template, made or made the newest if need be.

        Revisions that a former owner has left are adopted first.
        `labelled_by_hash`: pods carry the hash as their label, else the revision's name.
        """
        await self._claims.claim(
            owner,
            from_label_selector(owner["spec"].get("selector")),
            self.index.strays(owner["metadata"]["namespace"]),
        )
        listed = self.listed(owner)
        data = data_of(owner["spec"]["template"])
        newest = _number(listed[-1]) if listed else 0
        same = [one for one in listed if one.get("data") == data]
        if same:
            if _number(same[-1]) < newest:
                await self._renumber(same[-1], newest + 1)
            return Revision(same[-1], collisions)
        for taken in range(collisions, collisions + ATTEMPTS):
            made = self._new(owner, data, newest + 1, taken, labelled_by_hash=labelled_by_hash)
            if await self.client.create(self.resource, made):
                return Revision(made, taken)
        raise RuntimeError(f"no name is free for a revision of {owner['metadata']['name']}")

    def _new(self, owner: Object, data: Object, number: int, taken: int, *, labelled_by_hash: bool) -> Object:
        metadata = owner["metadata"]
        labels = dict((owner["spec"]["template"].get("metadata") or {}).get("labels") or {})
        if labelled_by_hash:
            code = labels[LABEL] = template_hash(data, taken)
        else:
            code = labels[HASH] = revision_hash(data, taken)
        made, _ = self.resource.decode_value(
            {
                "metadata": {
                    "name": f"{metadata['name'][:LONGEST_BASE]}-{code}",
                    "namespace": metadata["namespace"],
                    "labels": labels,
                    "annotations": dict(metadata.get("annotations") or {}),
                    "ownerReferences": [reference(owner)],
                },
                "data": data,
                "revision": number,
            }
        )
        return made

    async def _renumber(self, revision: Object, number: int) -> None:
        def edit(live: Object) -> None:
            live["revision"] = number

        metadata = revision["metadata"]
        await self.client.change(
            self.resource, metadata["namespace"], metadata["name"], edit, uid=metadata["uid"]
        )

    async def trim(self, owner: Object, used: Collection[str]) -> None:
        """Delete the oldest revisions beyond the limit; those that are used do not count."""
        limit = owner["spec"].get("revisionHistoryLimit")
        idle = [one for one in self.listed(owner) if _names(one).isdisjoint(used)]
        for one in _surplus(idle, 10 if limit is None else limit):
            metadata = one["metadata"]
            await self.client.delete(self.resource, metadata["namespace"], metadata["name"])


def _names(revision: Object) -> set[str]:
    """The texts by which pods name a revision."""
    label = (revision["metadata"].get("labels") or {}).get(LABEL)
    return {revision["metadata"]["name"], *([label] if label else ())}


def _surplus(revisions: Sequence[Object], limit: int) -> Sequence[Object]:
    return revisions[: max(len(revisions) - limit, 0)]


def _number(revision: Object) -> int:
    return int(revision.get("revision") or 0)
