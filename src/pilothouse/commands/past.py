"""Asks a server's history for commands: which changes there are, and objects as they were."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import quote, urlencode

from pilothouse.api.values.fields import Object
from pilothouse.commands import output
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.kinds import APIKind, APIKinds
from pilothouse.configuration.config import Config
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.outbound.kubeconfig import namespace_of

GROUP = "history.pilothouse.dev"
ROOT = f"/apis/{GROUP}/v1"
CHANGE = re.compile(r"r\d+(\.\d+)?")
"""The name of a change."""
SECONDS = 600.0
"""Seconds that a restore may take."""
MOST = 500
"""Changes in one answer."""

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    Flag("namespace", "string", "", "command",
         "The namespace of the object. Default: the one of the kubeconfig's context.", short="n"),
    output.FLAG,
)  # fmt: skip


class HistoryTarget(NamedTuple):
    """The object, or all objects of a kind, that a command is about; no name means all."""

    kind: APIKind
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """The text, as `deployments.apps/web`."""
        return f"{self.kind.resource}/{self.name}"


class Past:
    """The history of the server of a kubeconfig, by one connection until the end of a `with`.
    ApiError when it keeps none."""

    def __init__(self, config: Config, values: Mapping[str, Any]) -> None:
        kubeconfig = kubeconfig_of(config.data, values["kubeconfig"])
        self._api = Api(kubeconfig).held()
        self.namespace: str = values["namespace"] or namespace_of(kubeconfig) or "default"
        try:
            self.kinds = APIKinds(self._api)
            if not self.kinds.serves(GROUP):
                server = self._api.config.server
                how = "logical clusters have none" if "/clusters/" in server else "start it with --history"
                raise ApiError(f"{server} keeps no history: {how}")
        except ApiError:
            self._api.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    @property
    def warnings(self) -> list[str]:
        """The warnings of the server, each once."""
        return self._api.warnings

    def target(self, words: Sequence[str], command: str) -> HistoryTarget:
        """The object that the arguments of a command name as KIND/NAME or KIND NAME."""
        found = self.target_or_kind(words, command)
        if not found.name:
            raise FlagError(f'"{command}" needs the name of an object: {words[0]}/NAME')
        return found

    def target_or_kind(self, words: Sequence[str], command: str) -> HistoryTarget:
        """The same; a kind alone means all of its objects."""
        word, _, name = words[0].partition("/") if words else ("", "", "")
        if not word or len(words) > 2 or (len(words) == 2 and (name or "/" in words[0])):
            raise FlagError(f'"{command}" takes KIND/NAME or KIND NAME, got {list(words)}')
        kind = self.kinds.named(word)
        return HistoryTarget(
            kind, self.namespace if kind.namespaced else "", name or (words[1] if len(words) == 2 else "")
        )

    def changes(
        self, namespace: str | None, selector: Mapping[str, str], query: Mapping[str, str], limit: int
    ) -> tuple[list[Object], bool]:
        """The newest changes, and whether there are more. namespace: "" for objects without one, None for
        those of all namespaces. selector: values of fields."""
        plural = "clusterchanges" if namespace == "" else "changes"
        within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        chosen = ",".join(f"{name}={_escaped(value)}" for name, value in selector.items() if value)
        found: list[Object] = []
        token = ""
        while len(found) < limit:
            asked = {**query, "limit": str(min(limit - len(found), MOST))}
            asked |= {"fieldSelector": chosen} if chosen else {}
            asked |= {"continue": token} if token else {}
            answer = self._api.call("GET", f"{ROOT}{within}/{plural}?{urlencode(asked)}", seconds=SECONDS)
            found += answer["items"]
            token = answer["metadata"].get("continue", "")
            if not token:
                break
        return found, bool(token)

    def of(self, target: HistoryTarget, limit: int = 1) -> list[Object]:
        """The newest changes of an object; ApiError when there are none."""
        selector = {"object.resource": target.kind.resource, "object.name": target.name}
        found, _ = self.changes(target.namespace, selector, {}, limit)
        if not found:
            raise ApiError(f"no change of {target.shown} is known", 404)
        return found

    def change(self, name: str) -> Object:
        """The change with a name: of an object in the namespace, or of one without."""
        try:
            return self._api.call("GET", f"{ROOT}/namespaces/{self.namespace}/changes/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
        try:
            return self._api.call("GET", f"{ROOT}/clusterchanges/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            raise ApiError(
                f'no change of an object in the namespace "{self.namespace}", nor of one without a '
                f'namespace, is called "{name}"',
                404,
            ) from None

    def object(self, target: HistoryTarget, query: Mapping[str, str]) -> Object | None:
        """An object as it was or is, None when it was not there."""
        path = target.kind.path(quote(target.namespace, safe=""), quote(target.name, safe=""))
        try:
            return self._api.call("GET", f"{path}?{urlencode(query)}" if query else path)
        except ApiError as error:
            if error.status != 404 or not error.details.get("name"):
                raise
            return None

    def review(self, plural: str, kind: str, spec: Object, *, dry_run: bool = False) -> Object:
        """The answer to a review."""
        body = {"apiVersion": f"{GROUP}/v1", "kind": kind, "spec": spec}
        query = "?dryRun=All" if dry_run else ""
        answer = self._api.call("POST", f"{ROOT}/{plural}{query}", body, seconds=SECONDS)
        answer.pop("metadata", None)
        return answer


def exact(revision: int) -> dict[str, str]:
    """The parameters of a GET that reads a revision."""
    return {"resourceVersion": str(revision), "resourceVersionMatch": "Exact"}


def target_of(change: Object, past: Past) -> HistoryTarget:
    """The object of a change."""
    place = change["object"]
    return HistoryTarget(past.kinds.named(place["resource"]), place.get("namespace", ""), place["name"])


def _escaped(value: str) -> str:
    """A value in a field selector."""
    return re.sub(r"([\\,=])", r"\\\1", value)
