"""Which flow schema a request goes by, and so which priority level."""

from collections.abc import Iterable
from dataclasses import dataclass

from pilothouse.api.fields import Object
from pilothouse.api.identity import RequestInfo, User
from pilothouse.caches import Budget, Cache, weight
from pilothouse.registry.readers import Readers

_GROUP = "flowcontrol.apiserver.k8s.io"
_SCHEMAS = f"flowschemas.{_GROUP}"
_LEVELS = f"prioritylevelconfigurations.{_GROUP}"
_ACCOUNT = "system:serviceaccount:"


@dataclass(slots=True, frozen=True)
class Flow:
    """The flow of a request: its schema, priority level, and the user or namespace that tells flows of a schema apart."""

    schema: str
    level: str
    distinguisher: str


@dataclass(slots=True, frozen=True)
class _Schema:
    name: str
    uid: str
    level: str
    level_uid: str
    method: str
    rules: tuple[Object, ...]


class Classifier:
    """Matches requests against flow schemas as the readers have them, in order of precedence, then name."""

    def __init__(self, readers: Readers, budget: Budget | None = None) -> None:
        budget = budget or Budget()
        self._objects: dict[str, Object] = {}
        self._levels: dict[str, str] = {}
        self._schemas: list[_Schema] | None = None
        self._by_user: Cache[tuple[str, tuple[str, ...]], list[tuple[_Schema, list[Object]]]] = Cache(
            "flow_rules", budget, share=1 / 16, weigh=lambda user, found: weight(user) + 256 * len(found)
        )
        self._found: Cache[tuple[object, ...], _Schema] = Cache(
            "flows", budget, weigh=lambda key, schema: weight(key)
        )
        readers.subscribe(_LEVELS, self._level_changed)
        readers.subscribe(_SCHEMAS, self._schema_changed)

    def classify(self, user: User, info: RequestInfo) -> tuple[str, str] | None:
        """The uids of the flow schema and of its priority level; None while there is no schema at all."""
        schema = self._schema(user, info)
        return None if schema is None else (schema.uid, schema.level_uid)

    def flow(self, user: User, info: RequestInfo) -> Flow | None:
        """The flow that a request belongs to."""
        schema = self._schema(user, info)
        if schema is None:
            return None
        by = {"ByUser": user.name, "ByNamespace": info.namespace}
        return Flow(schema.name, schema.level, by.get(schema.method, ""))

    def _schema(self, user: User, info: RequestInfo) -> _Schema | None:
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
            found = self._match(user, info)
            if found is not None:
                self._found.put(key, found)
        return found

    def _match(self, user: User, info: RequestInfo) -> _Schema | None:
        matches = _resource_matches if info.is_resource else _path_matches
        member = "resourceRules" if info.is_resource else "nonResourceRules"
        for schema, rules in self._rules_of(user):
            if any(matches(r, info) for rule in rules for r in rule.get(member) or ()):
                return schema
        # Only where catch-all is not there yet, or does not speak of this user.
        return next((s for s in self._ordered() if s.name == "catch-all"), None)

    def _rules_of(self, user: User) -> list[tuple[_Schema, list[Object]]]:
        """The schemas in order, each with the rules whose subjects include the user."""
        key = (user.name, user.groups)
        found = self._by_user[key]
        if found is None:
            matched = (
                (schema, [r for r in schema.rules if _speaks_of(r.get("subjects") or (), user)])
                for schema in self._ordered()
            )
            found = [(schema, rules) for schema, rules in matched if rules]
            self._by_user.put(key, found)
        return found

    def _ordered(self) -> list[_Schema]:
        if self._schemas is None:
            self._schemas = [
                _Schema(
                    name,
                    obj["metadata"].get("uid", ""),
                    _level_of(obj),
                    self._levels[_level_of(obj)],
                    (obj["spec"].get("distinguisherMethod") or {}).get("type", ""),
                    tuple(obj["spec"].get("rules") or ()),
                )
                for name, obj in sorted(self._objects.items(), key=_precedence)
                if _level_of(obj) in self._levels
            ]
        return self._schemas

    def _level_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        if new is None:
            self._levels.pop(metadata["name"], None)
        else:
            self._levels[metadata["name"]] = metadata.get("uid", "")
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
        self._forget()

    def _forget(self) -> None:
        self._by_user.clear()
        self._found.clear()


def _level_of(obj: Object) -> str:
    name: str = (obj["spec"].get("priorityLevelConfiguration") or {}).get("name", "")
    return name


def _precedence(item: tuple[str, Object]) -> tuple[int, str]:
    return (item[1]["spec"].get("matchingPrecedence", 1000), item[0])


def _speaks_of(subjects: Iterable[Object], user: User) -> bool:
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
