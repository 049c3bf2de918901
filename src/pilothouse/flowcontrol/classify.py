"""Classifies requests: the flow schema that matches a request names its priority level (KEP-1040)."""

from collections.abc import Callable, Iterable

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.api.values.mandatory_flows import MANDATORY_SCHEMAS
from pilothouse.caches import Cache, CacheBudget, weight
from pilothouse.flowcontrol._seats import Flow
from pilothouse.flowcontrol.levels import LEVELS, Levels, State
from pilothouse.flowcontrol.sharding import hand_of
from pilothouse.process.frozen import frozen
from pilothouse.registry.readers import Readers

SCHEMAS = "flowschemas.flowcontrol.apiserver.k8s.io"
_ACCOUNT = "system:serviceaccount:"
FLOW_BYTES = 512
"""Bytes of a remembered flow with its hand."""


@frozen
class _Schema:
    name: str
    uid: str
    level: State
    method: str
    rules: tuple[Object, ...]


class Classifier:
    """Matches requests against the flow schemas in the order of their precedence, then of their names."""

    def __init__(self, readers: Readers, levels: Levels, budget: CacheBudget | None = None) -> None:
        """`levels` follows the same readers already, so that it knows of a change first."""
        budget = budget or CacheBudget()
        self._levels = levels
        self._schemas: list[_Schema] | None = None
        self._by_user: Cache[tuple[str, tuple[str, ...]], list[tuple[_Schema, list[Object]]]] = Cache(
            "flow_rules", budget, share=1 / 16, weigh=lambda user, found: weight(user) + 256 * len(found)
        )
        self.listeners: list[Callable[[], None]] = []
        """Called when requests may belong to other flows than before."""
        self._found: Cache[tuple[object, ...], Flow] = Cache(
            "flows", budget, weigh=lambda key, flow: weight(key) + FLOW_BYTES
        )
        readers.follow(LEVELS, self._level_changed)
        schemas = readers.follow(SCHEMAS, self._schema_changed)
        self._objects = {obj["metadata"]["name"]: obj for obj in schemas}

    def flow(self, user: User, info: RequestInfo) -> Flow:
        """The flow that a request belongs to."""
        # PERF: the object's name is no part of the key.
        key: tuple[object, ...]
        if info.is_resource:
            key = (
                user.name,
                user.groups,
                info.verb,
                info.group,
                info.resource,
                info.subresource,
                info.namespace,
            )
        else:
            key = (user.name, user.groups, info.verb, info.path)
        found = self._found[key]
        if found is None:
            found = self._flow(user, info)
            self._found.put(key, found)
        return found

    def _flow(self, user: User, info: RequestInfo) -> Flow:
        schema = self._match(user, info)
        state = schema.level
        by = {"ByUser": user.name, "ByNamespace": info.namespace}
        distinguisher = by.get(schema.method, "")
        hand = hand_of(schema.name, distinguisher, state.seats.hand_size, state.seats.queues)
        uids = (schema.uid, state.uid) if schema.uid or state.uid else None
        return Flow(state.seats, state.series_of(schema.name), schema.name, distinguisher, hand, uids)

    def _match(self, user: User, info: RequestInfo) -> _Schema:
        matches = _resource_matches if info.is_resource else _path_matches
        member = "resourceRules" if info.is_resource else "nonResourceRules"
        for schema, rules in self._rules_of(user):
            if any(matches(r, info) for rule in rules for r in rule.get(member) or ()):
                return schema
        # Only somebody who is in no group at all is matched by nothing.
        return next(s for s in self._ordered() if s.name == "catch-all")

    def _rules_of(self, user: User) -> list[tuple[_Schema, list[Object]]]:
        """The schemas in order, each with the rules whose subjects include the user."""
        key = (user.name, user.groups)
        found = self._by_user[key]
        if found is None:
            matched = (
                (schema, [r for r in schema.rules if _names(r.get("subjects") or (), user)])
                for schema in self._ordered()
            )
            found = [(schema, rules) for schema, rules in matched if rules]
            self._by_user.put(key, found)
        return found

    def _ordered(self) -> list[_Schema]:
        """The schemas whose level exists; those that must exist do so even without an object."""
        if self._schemas is None:
            objects = {name: {"metadata": {}, "spec": spec} for name, spec in MANDATORY_SCHEMAS.items()}
            objects.update(self._objects)
            found = [(name, obj, self._levels.find(_level_of(obj))) for name, obj in objects.items()]
            found.sort(key=lambda row: _precedence(row[0], row[1]))
            self._schemas = [
                _Schema(
                    name,
                    obj["metadata"].get("uid", ""),
                    level,
                    (obj["spec"].get("distinguisherMethod") or {}).get("type", ""),
                    tuple(obj["spec"].get("rules") or ()),
                )
                for name, obj, level in found
                if level is not None
            ]
            for state in self._levels.states.values():
                state.forget(objects)
        return self._schemas

    def _level_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        self._changed()

    def _schema_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._objects.pop(name, None)
        elif old is not None and old.get("spec") == new.get("spec") and name in self._objects:
            # The status is written often and matters to nobody here.
            self._objects[name] = new
            return
        else:
            self._objects[name] = new
        self._changed()

    def _changed(self) -> None:
        self._schemas = None
        self._by_user.clear()
        self._found.clear()
        for listener in self.listeners:
            listener()


def _level_of(obj: Object) -> str:
    name: str = (obj["spec"].get("priorityLevelConfiguration") or {}).get("name", "")
    return name


def _precedence(name: str, obj: Object) -> tuple[int, str]:
    return (obj["spec"].get("matchingPrecedence", 1000), name)


def _names(subjects: Iterable[Object], user: User) -> bool:
    return any(_is_subject(subject, user) for subject in subjects)


def _is_subject(subject: Object, user: User) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        return (subject.get("user") or {}).get("name", "") in ("*", user.name)
    if kind == "Group":
        name = (subject.get("group") or {}).get("name", "")
        return name == "*" or name in user.groups
    account = subject.get("serviceAccount") or {}
    prefix = f"{_ACCOUNT}{account.get('namespace', '')}:"
    if kind != "ServiceAccount" or not user.name.startswith(prefix):
        return False
    return account.get("name", "") in ("*", user.name[len(prefix) :])


def _has(listed: Iterable[str] | None, value: str) -> bool:
    return bool(listed) and any(one in ("*", value) for one in listed or ())


def _resource_matches(rule: Object, info: RequestInfo) -> bool:
    if not (_has(rule.get("verbs"), info.verb) and _has(rule.get("apiGroups"), info.group)):
        return False
    name = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not _has(rule.get("resources"), name):
        return False
    if not info.namespace:
        return bool(rule.get("clusterScope"))
    return _has(rule.get("namespaces"), info.namespace)


def _path_matches(rule: Object, info: RequestInfo) -> bool:
    if not _has(rule.get("verbs"), info.verb):
        return False
    urls = rule.get("nonResourceURLs") or ()
    return any(
        url in ("*", info.path) or (url.endswith("/*") and info.path.startswith(url[:-1])) for url in urls
    )
