"""The kinds of a cluster by the names that kubectl takes: plural, singular, short name or kind,
with or without the group (`deploy`, `deployments.apps`, `deployments.v1.apps`)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.commands.api import Api
from pilothouse.configuration.flags import FlagError
from pilothouse.configuration.suggestions import nearest

DOCUMENT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class APIKind(NamedTuple):
    """A resource that is served, in the version that the server prefers."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    names: frozenset[str]
    """The names in small letters, but for the short ones."""
    short: frozenset[str]

    @property
    def resource(self) -> str:
        """The name with the group, as `pods` or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str) -> str:
        """The path of an object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}{within}/{self.plural}/{name}"


class APIKinds:
    """All kinds, in the order of discovery; ApiError when the server does not tell them."""

    def __init__(self, api: Api) -> None:
        self._all: Sequence[APIKind] = [
            kind for path in ("/api", "/apis") for kind in _kinds(api.call("GET", path, accept=DOCUMENT))
        ]

    def serves(self, group: str) -> bool:
        """Whether there is a group."""
        return any(kind.group == group for kind in self._all)

    def named(self, word: str) -> APIKind:
        """The kind with a name; FlagError, as kubectl words it, when none has it."""
        name, _, group = word.lower().partition(".")
        known = [
            kind
            for kind in self._all
            if not group or group in (kind.group, f"{kind.version}.{kind.group}".rstrip("."))
        ]
        found = next((kind for kind in known if name in kind.names), None)
        found = found or next((kind for kind in known if name in kind.short), None)
        if found is None:
            raise FlagError(
                f'the server doesn\'t have a resource type "{word}"',
                nearest(name, {each for kind in known or self._all for each in kind.names}),
            )
        return found


def _kinds(document: Object) -> Iterator[APIKind]:
    """The kinds of a document of discovery."""
    for group in document.get("items", ()):
        seen = set()
        for version in group["versions"]:
            for one in version.get("resources", ()):
                plural = one["resource"]
                if plural in seen:  # in a version that is preferred
                    continue
                seen.add(plural)
                kind = one.get("responseKind", {}).get("kind", "")
                names = {plural, one.get("singularResource", ""), kind.lower()} - {""}
                yield APIKind(
                    group["metadata"].get("name", ""),
                    version["version"],
                    plural,
                    kind,
                    namespaced=one["scope"] == "Namespaced",
                    names=frozenset(names),
                    short=frozenset(one.get("shortNames", ())),
                )
