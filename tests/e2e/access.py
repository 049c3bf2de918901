"""The requests that a server could be asked,
generated from its own documents, and what the rules of a user grant of them.

Nothing here is taken from the server's code: a path template is read by its own words, and a rule is applied
as the API's documentation of PolicyRule says.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "BREW")
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
OF_NAMESPACES = ("status", "finalize")
"""The subresources of namespaces; what else stands behind a namespace's name is a resource in it."""

UNLISTED = (
    "/", "/index.html", "/flagz", "/statusz", "/unknown", "/logs/kube", "/debug/pprof/profile",
    "/debug/api_priority_and_fairness/dump_queues", "/debug/flags/v", "/debug/requests/x",
)  # fmt: skip
"""Paths that name no resource and that no document lists."""


class Rules(NamedTuple):
    """The content of a review: the rules about resources and those about paths."""

    resource: list[dict[str, Any]]
    path: list[dict[str, Any]]


class Attributes(NamedTuple):
    """The attributes of a request. `path` is "" for one that names a resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True)
class Ask:
    """One request: a method, a target, and the media type of its body."""

    method: str
    target: str
    media: str
    about: Attributes


def granted(rules: Rules, about: Attributes) -> bool:
    """Whether one of the rules allows a request."""
    if about.path:
        return any(
            _has(rule["verbs"], about.verb) and _covers(rule["nonResourceURLs"], about.path)
            for rule in rules.path
        )
    whole = f"{about.resource}/{about.subresource}" if about.subresource else about.resource
    return any(
        _has(rule["verbs"], about.verb)
        and _has(rule.get("apiGroups", ()), about.group)
        and (
            _has(rule["resources"], whole)
            or (about.subresource and f"*/{about.subresource}" in rule["resources"])
        )
        and (not rule.get("resourceNames") or about.name in rule["resourceNames"])
        for rule in rules.resource
    )


def _has(listed: Iterable[str], wanted: str) -> bool:
    return any(one in ("*", wanted) for one in listed)


def _covers(urls: Iterable[str], path: str) -> bool:
    return any(url in ("*", path) or (url.endswith("*") and path.startswith(url[:-1])) for url in urls)


# Templates of paths


def discovered(groups: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The templates of everything that aggregated discovery lists."""
    for group in groups:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            head = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            yield from (head, f"{head}/")
            for resource in version.get("resources", ()):
                yield from _templates(head, resource)


def _templates(head: str, resource: dict[str, Any]) -> Iterator[str]:
    plural, namespaced = resource["resource"], resource["scope"] == "Namespaced"
    roots = [f"{head}/namespaces/{{namespace}}/{plural}"] if namespaced else []
    for root in (f"{head}/{plural}", *roots):
        yield from (root, f"{root}/{{name}}")
        yield root.replace(head, f"{head}/watch", 1)
        yield root.replace(head, f"{head}/watch", 1) + "/{name}"
        yield root.replace(head, f"{head}/proxy", 1) + "/{name}"
        for sub in (*[one["subresource"] for one in resource.get("subresources", ())], "unknown"):
            yield f"{root}/{{name}}/{sub}"
            if sub == "proxy":
                yield f"{root}/{{name}}/proxy/some/path"


def about(template: str, method: str, watch: bool, namespace: str, name: str) -> Attributes:
    """The attributes of a request for a template."""
    parts = template.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return Attributes(method.lower(), path=_filled(template, namespace, name))
    special = rest[0] if rest[0] in ("watch", "proxy") else ""
    if special:
        rest = rest[1:]
    where = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        where = _filled(rest[1], namespace, name)
        if len(rest) > 2 and rest[2] not in OF_NAMESPACES:
            rest = rest[2:]
    plural, named = rest[0], _filled(rest[1], namespace, name) if len(rest) > 1 else ""
    sub = rest[2] if len(rest) > 2 and special != "proxy" else ""
    verb = special or VERBS.get(method, "")
    if not special and not named:
        verb = {"get": "watch" if watch else "list", "delete": "deletecollection"}.get(verb, verb)
    return Attributes(verb, group, plural, sub, where, named)


def _filled(template: str, namespace: str, name: str) -> str:
    return template.replace("{namespace}", namespace).replace("{name}", name).replace("{path}", "some/path")


def asks(templates: Iterable[str], namespaces: Iterable[str], name: str = "x") -> Iterator[Ask]:
    """Every method of every template in each namespace, reads also as watches, patches in each form."""
    for template in templates:
        of_object = "{namespace}" not in template and template.endswith("/namespaces/{name}")
        for namespace in namespaces if "{namespace}" in template or of_object else ("",):
            called = namespace if of_object else name
            target = _filled(template, namespace, called)
            for method in METHODS:
                yield Ask(
                    method, target, "application/json", about(template, method, False, namespace, called)
                )
            for media in PATCHES:
                yield Ask("PATCH", target, media, about(template, "PATCH", False, namespace, called))
            for query in ("watch=1", "watch=true&fieldSelector=metadata.name%3Dx"):
                found = about(template, "GET", True, namespace, called)
                yield Ask("GET", f"{target}?{query}", "application/json", found)


def spellings(target: str) -> Iterator[str]:
    """Other ways to write a path, which some servers read as the same."""
    head, _, last = target.rpartition("/")
    yield from (f"/{target}", target.replace("/", "//"), f"{target}/", f"{target}/.", f"{target}/x/..")
    yield from (
        f"/version/..{target}",
        f"/healthz/../..{target}",
        f"/version/%2e%2e{target}",
        f"/version%2f..{target}",
    )
    yield from (
        f"{head}/./{last}",
        f"{head}%2F{last}",
        f"{head}%2f{last}",
        f"{head}/%{ord(last[0]):02x}{last[1:]}",
    )
    yield from (f"{target};x=/version", f"{target}%00", f"{target}%20", f"{target}?", f"{target}%3Fwatch=1")
    yield from (
        f"{head}/{last.upper()}",
        f"{head}/{last.capitalize()}",
        f"\\{target}",
        f"http://other{target}",
    )
    yield from (
        f"/readyz{target}",
        f"/version{target}",
        f"/openapi/v2{target}",
        f"/apis{target}",
        f"/api/v1{target}",
    )
    yield target.replace("/namespaces/there/", "/namespaces/here/../there/")
    yield target.replace("/namespaces/there/", "/namespaces/here%2f..%2fthere/")
    yield target.replace("/namespaces/there/", "/namespaces/here/namespaces/there/")
