"""How many seats requests need."""

from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig

from pilothouse.api.values.identity import RequestInfo
from pilothouse.flowcontrol.width import Widths, after_write, list_seats

pytestmark = pytest.mark.usefixtures("virtual")

SIZE = 49_000


def info(verb: str, namespace: str = "default", name: str = "", plural: str = "configmaps") -> RequestInfo:
    return RequestInfo("/", verb, True, "api", "", "v1", namespace, plural, "", name)


async def filled(rig: Rig, count: int = 40) -> Widths:
    """Config maps of 49 KB in `default`, every tenth with the label a=b; a small one in `kube-system`."""
    for i in range(count):
        labels = {"a": "b"} if i % 10 == 0 else {"a": "c"}
        await rig.config_map(f"m{i}", data={"x": "y" * SIZE}, labels=labels)
    other = {"metadata": {"name": "small"}}
    await rig.ok("POST", "/api/v1/namespaces/kube-system/configmaps", other)
    return rig.handlers.widths


def query(**values: Any) -> dict[str, list[str]]:
    return {name: [str(value)] for name, value in values.items()}


async def test_a_list_needs_seats_by_its_bytes(rig: Rig) -> None:
    widths = await filled(rig)
    cache = rig.store.cache(rig.catalog.get("", "v1", "configmaps"))
    assert cache.stored_bytes == sum(
        len(entry.value) for entry in cache.list("/registry/configmaps/").entries
    )

    def seats(
        verb: str = "list", namespace: str = "default", widest: int = 100, name: str = "", **asked: Any
    ) -> int:
        return list_seats(widths.expected(info(verb, namespace, name), query(**asked)), widest)

    # 2 MB, though upstream counts 1 MB of a cached list at the most
    assert seats() == 20 == seats(namespace="")
    assert seats(namespace="kube-system") == 1 == seats(namespace="nowhere")
    assert seats(widest=7) == 7
    assert seats(limit=10) == 5 and seats(limit=500) == 20
    assert seats(limit=10, resourceVersion=0) == 20  # pages are for the store
    assert seats(limit="x") == 20 == seats(limit="-1") == seats(limit="9" * 100)
    assert seats(name="m1") == 1 == seats(fieldSelector="metadata.name=m1")
    assert seats(fieldSelector="metadata.name!=m1") == 20


async def test_a_watch_is_a_list_when_it_begins_with_what_is_there(rig: Rig) -> None:
    widths = await filled(rig)

    def seats(**asked: Any) -> int:
        return list_seats(widths.expected(info("watch"), query(watch=1, **asked)), 100)

    assert seats() == 20 == seats(resourceVersion=0)
    assert seats(resourceVersion=5) == 1 == seats(resourceVersion=5, sendInitialEvents="false")
    assert seats(resourceVersion=5, sendInitialEvents="true") == 20


async def test_what_a_selector_selects_is_learned(rig: Rig) -> None:
    widths = await filled(rig)
    asked = query(labelSelector="a=b")
    assert list_seats(widths.expected(info("list"), asked), 100) == 20  # unknown: all there is
    await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=a%3Db")
    assert list_seats(widths.expected(info("list"), asked), 100) == 2  # four of 49 KB
    other = query(labelSelector="a=x")
    assert list_seats(widths.expected(info("list"), other), 100) == 2  # the same selector with another value
    await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=a%3Dx")
    assert list_seats(widths.expected(info("list"), other), 100) == 1
    assert list_seats(widths.expected(info("list"), asked), 100) == 2
    assert list_seats(widths.expected(info("list"), query(labelSelector="b=x")), 100) == 20
    assert list_seats(widths.expected(info("watch"), {**asked, "watch": ["1"]}), 100) == 2
    await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=a%20in%20(b,c)")
    assert list_seats(widths.expected(info("list"), query(labelSelector="a in (z)")), 100) == 20


async def test_what_is_not_known_needs_one_seat(rig: Rig) -> None:
    widths = rig.handlers.widths
    assert list_seats(widths.expected(info("list", plural="nothings"), {}), 100) == 1
    assert list_seats(widths.expected(RequestInfo("/version", "get"), {}), 100) == 1
    assert widths.resource(RequestInfo("/version", "get")) is None
    assert widths.watchers(info("create", plural="nothings")) == 0


async def test_what_is_learned_is_bounded(rig: Rig) -> None:
    widths = await filled(rig, 1)
    resource = rig.catalog.get("", "v1", "configmaps")
    for i in range(3000):
        widths.learn(resource, "default", query(labelSelector=f"a=v{i}", fieldSelector="x" * 5000), [])
        widths.learn(resource, "default", query(labelSelector=f"a{i}!=" + "v" * 2000), [])
    learned = widths._learned
    assert learned.young + learned.old <= 2 << 20


async def test_watchers_of_a_write(rig: Rig) -> None:
    await filled(rig, 1)
    widths = rig.handlers.widths
    targets = (
        "/api/v1/configmaps?watch=1",
        f"{CONFIG_MAPS}?watch=1",
        f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Dm0",
        "/api/v1/namespaces/kube-system/configmaps?watch=1",
        f"{CONFIG_MAPS}?watch=1&labelSelector=a%3Db",
    )
    streams = [await rig.watch(target) for target in targets for _ in range(2)]
    assert widths.watchers(info("create")) == 4
    assert widths.watchers(info("update", name="m0")) == 6
    assert widths.watchers(info("update", "kube-system", "x")) == 4
    token = RequestInfo("/", "create", True, "api", "", "v1", "default", "serviceaccounts", "token", "x")
    assert widths.watchers(token) is None
    for stream in streams:
        stream.close()
    assert widths.watchers(info("update", name="m0")) == 0


@pytest.mark.parametrize(
    ("watchers", "widest", "seats", "seconds"),
    [
        (0, 10, 0, 0),
        (9, 10, 0, 0),
        (10, 10, 1, 0.005),
        (25, 10, 3, 0.005),
        (1000, 50, 10, 0.05),
        (100, 2, 2, 0.025),
    ],
)
def test_seats_after_a_write(watchers: int, widest: int, seats: int, seconds: float) -> None:
    found = after_write(watchers, widest)
    assert found[0] == seats and found[1] == pytest.approx(seconds)


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def test_a_rules_review_takes_seats_by_the_size_of_the_last_one(rig: Rig) -> None:
    asks = {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectrulesreviews"],
    }
    many = [{"verbs": ["get"], "apiGroups": [""], "resources": [f"things{n}"]} for n in range(5000)]
    role = {"metadata": {"name": "many"}, "rules": [asks, *many]}
    await rig.ok("POST", f"{RBAC}/clusterroles", role)
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "many"}
    binding = {"metadata": {"name": "many"}, "subjects": [subject], "roleRef": ref}
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    assert await review_seats(rig) == 1
    assert await review_seats(rig) > 2
    await rig.ok("PUT", f"{RBAC}/clusterroles/many", {**role, "rules": [asks]})
    assert await review_seats(rig) > 2  # by the last one, which was long
    assert await review_seats(rig) == 1


async def review_seats(rig: Rig) -> int:
    """The seats that a review of jane's takes."""
    response = await rig.respond("POST", REVIEWS, {"spec": {"namespace": "default"}}, user="jane")
    assert response.status == 201
    done: Any = response.on_done
    ticket = done.args[0].flow
    seats: int = ticket.seats
    done(1, None)
    return seats
