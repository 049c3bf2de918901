"""Request info compared with the standard library and with the table of upstream's RequestInfoFactory."""

from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest
from complexity import seconds
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values import _requestinfo as requestinfo

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
SEGMENT = st.text("abcz-.09%:é", min_size=1, max_size=8).filter(
    lambda s: s not in ("watch", "proxy", "namespaces", "status", "finalize")
)


def grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each name, in order."""
    out: dict[str, list[str]] = {}
    for name, value in pairs:
        out.setdefault(name, []).append(value)
    return out


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_a_query_is_what_it_was_made_of(pairs: list[tuple[str, str]]) -> None:
    assert requestinfo.parse_query(urlencode(pairs)) == grouped(pairs)


@given(st.text("ab=&+%20cC", max_size=24))
def test_any_query_is_read_as_the_standard_library_does_save_what_go_drops(text: str) -> None:
    """net/url drops pairs with a broken escape, where Python keeps the percent sign."""

    def broken(part: str) -> bool:
        try:
            requestinfo.unescape_path(part)
        except ValueError:
            return True
        return False

    kept = "&".join(part for part in text.split("&") if not broken(part))
    assert requestinfo.parse_query(text) == grouped(parse_qsl(kept, keep_blank_values=True))


@given(st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=20))
def test_a_path_is_unescaped(text: str) -> None:
    assert requestinfo.unescape_path(quote(text)) == text == unquote(quote(text))


@pytest.mark.parametrize("text", ["%", "a%2", "%zz", "%2g", "%e9%"])
def test_a_broken_escape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid URL escape"):
        requestinfo.unescape_path(f"/api/{text}")


@given(
    st.sampled_from(["api", "apis"]),
    SEGMENT,
    SEGMENT,
    st.one_of(st.just(""), SEGMENT),
    st.lists(SEGMENT, min_size=1, max_size=5),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    st.booleans(),
)
def test_a_path_is_taken_apart_as_it_was_put_together(
    prefix: str, group: str, version: str, namespace: str, parts: list[str], method: str, watch: bool
) -> None:
    path = f"/{prefix}/{group}/{version}" if prefix == "apis" else f"/{prefix}/{version}"
    path += (f"/namespaces/{namespace}/" if namespace else "/") + "/".join(parts)
    info = requestinfo.parse(method, path, {"watch": ["1"]} if watch else {})
    assert (info.path, info.is_resource, info.prefix) == (path, True, prefix)
    assert (info.group, info.version) == (group if prefix == "apis" else "", version)
    assert (info.namespace, info.parts) == (namespace, tuple(parts))
    assert [info.resource, info.name, info.subresource] == [*parts, "", ""][:3]
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch"}
    if method in ("GET", "HEAD"):
        wanted = "get" if len(parts) > 1 else "watch" if watch else "list"
    else:
        wanted = verbs.get(method, "delete" if len(parts) > 1 else "deletecollection")
    assert info.verb == wanted


@pytest.mark.parametrize(
    ("method", "path", "verb", "namespace", "resource", "subresource", "name"),
    [
        ("GET", "/api/v1/namespaces", "list", "", "namespaces", "", ""),
        ("GET", "/api/v1/namespaces/other", "get", "other", "namespaces", "", "other"),
        ("PUT", "/api/v1/namespaces/other/status", "update", "other", "namespaces", "status", "other"),
        ("PUT", "/api/v1/namespaces/other/finalize", "update", "other", "namespaces", "finalize", "other"),
        ("GET", "/api/v1/namespaces/other/pods", "list", "other", "pods", "", ""),
        ("GET", "/api/v1/namespaces/other/pods/foo/log", "get", "other", "pods", "log", "foo"),
        ("DELETE", "/apis/apps/v1/namespaces/other/deployments", "deletecollection", "other", "deployments",
         "", ""),
        ("GET", "/api/v1/watch/namespaces/other/pods", "watch", "other", "pods", "", ""),
        ("GET", "/api/v1/watch/namespaces/other/pods/foo", "watch", "other", "pods", "", "foo"),
        ("GET", "/api/v1/proxy/namespaces/other/pods/foo/a/b", "proxy", "other", "pods", "", "foo"),
        ("OPTIONS", "/api/v1/pods", "", "", "pods", "", ""),
    ],
)  # fmt: skip
def test_paths_with_a_meaning(
    method: str, path: str, verb: str, namespace: str, resource: str, subresource: str, name: str
) -> None:
    info = requestinfo.parse(method, path, {})
    assert (info.verb, info.namespace, info.resource, info.subresource, info.name) == (
        verb,
        namespace,
        resource,
        subresource,
        name,
    )


@pytest.mark.parametrize(
    "path", ["/", "", "/healthz", "/api", "/api/v1", "/apis/apps/v1", "/metrics/slis", "/x/v1/y/z"]
)
def test_paths_that_name_no_resource(path: str) -> None:
    info = requestinfo.parse("GET", path, {})
    assert (info.path, info.verb, info.is_resource, info.parts) == (path, "get", False, ())


@pytest.mark.parametrize("path", ["/api/v1/watch", "/apis/apps/v1/watch/", "/api/v1/proxy"])
def test_a_watch_of_nothing_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="unable to determine kind and namespace"):
        requestinfo.parse("GET", path, {})


@pytest.mark.parametrize(
    ("values", "wanted"),
    [({}, False), ({"watch": [""]}, True), ({"watch": ["1"]}, True), ({"watch": ["False"]}, False),
     ({"watch": ["0", "1"]}, False)],
)  # fmt: skip
def test_what_asks_for_a_watch(values: dict[str, list[str]], wanted: bool) -> None:
    assert requestinfo.wants_watch(values) is wanted


def test_a_query_of_more_parameters_than_go_reads_is_empty() -> None:
    assert len(requestinfo.parse_query("&".join(f"a{i}" for i in range(10_000)))) == 10_000
    assert requestinfo.parse_query("&".join(f"a{i}" for i in range(10_001))) == {}


@pytest.mark.parametrize("part", ["/", "a/", "%2f", "%41", "%ff", "+", "é"])
def test_long_paths_and_queries_are_read_quickly(part: str) -> None:
    text = part * (900_000 // len(part))
    assert seconds(requestinfo.unescape_path, lambda n: "/" + text, 1) < 0.1
    assert seconds(lambda path: requestinfo.parse("GET", path, {}), lambda n: "/api/v1/" + text, 1) < 0.1
    assert seconds(requestinfo.parse_query, lambda n: "a=" + text, 1) < 0.1


def test_what_stands_far_behind_in_a_path_is_one_part() -> None:
    info = requestinfo.parse("GET", "/api/v1/namespaces/a/pods/b/proxy/" + "c/" * 1000, {})
    assert (info.namespace, info.name, info.subresource) == ("a", "b", "proxy") and len(info.parts) < 40
