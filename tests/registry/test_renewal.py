"""Renewals: updates that change one time of a lease are written by a short way, which does what the long one
does."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from example_scale import SCALE
from harness import Rig
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.codec import JSON, PROTOBUF
from pilothouse.api.protobuf import writer
from pilothouse.api.values.identity import User
from pilothouse.offload import INLINE
from pilothouse.registry import renewal
from pilothouse.registry._renewal import RenewedTime
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource
from pilothouse.storage.interface import RevisionConflict, Unavailable

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
LEASE = f"{LEASES}/node"
BEGIN = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
AGENT = {"User-Agent": "kubelet/v1.36.0"}

Object = dict[str, Any]


class Beholder(AdmissionPlugin):
    """Sees every update, so none of its server goes the short way."""

    name = "Beholder"

    def __init__(self) -> None:
        self.asked = 0

    def validate(self, a: AdmissionAttributes) -> None:
        self.asked += a.operation == "UPDATE"


class Indifferent(Beholder):
    """Sees every update but renewals."""

    name = "Indifferent"

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        return None


class Server(Rig):
    """A server whose clock stands still until it is set."""

    def __init__(self, plugin: Beholder) -> None:
        super().__init__((plugin,))
        self.plugin = plugin
        self.seconds = 0

    async def start(self) -> None:
        await super().start()
        self.verbs.now = self.now

    def now(self) -> str:
        return (BEGIN + timedelta(seconds=self.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(number: int) -> str:
    return f"2026-11-30T05:00:00.{number:06}Z"


def lease(number: int, **metadata: Any) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "node", "namespace": "default", **metadata},
        "spec": {"holderIdentity": "node", "leaseDurationSeconds": 40, "renewTime": moment(number)},
    }


async def renewed(rig: Rig, live: Object, number: int, **more: Any) -> Object:
    """The lease after an update that names the version and a new time."""
    body = lease(number, resourceVersion=live["metadata"]["resourceVersion"])
    answer: Object = await rig.ok("PUT", LEASE, body, headers=AGENT, **more)
    return answer


async def test_a_renewal_changes_two_times(runner: asyncio.Runner) -> None:
    async with Server(Indifferent()) as rig:
        made = await rig.ok("POST", LEASES, lease(0), headers=AGENT)
        watch = await rig.watch(f"{LEASES}?watch=1&resourceVersion={made['metadata']['resourceVersion']}")
        rig.seconds = 10
        found = await renewed(rig, made, 1)
        assert rig.plugin.asked == 0
        (entry,) = found["metadata"]["managedFields"]
        assert entry["time"] == "2026-12-01T09:30:10Z" and found["spec"]["renewTime"] == moment(1)
        assert int(found["metadata"]["resourceVersion"]) == int(made["metadata"]["resourceVersion"]) + 1
        for one in (made, found):
            del one["metadata"]["resourceVersion"], one["metadata"]["managedFields"][0]["time"]
            del one["spec"]["renewTime"]
        assert made == found
        (event,) = watch.events()
        assert event["type"] == "MODIFIED" and event["object"] == await rig.ok("GET", LEASE)
        stored = await rig.storage.get("/registry/leases/default/node")
        assert b"resourceVersion" not in stored.value


async def test_what_is_stored_may_be_sent_back(runner: asyncio.Runner) -> None:
    owners = [{"apiVersion": "v1", "kind": "Node", "name": "node", "uid": "1-2"}]
    async with Server(Indifferent()) as rig:
        live = await rig.ok(
            "POST", LEASES, lease(0, ownerReferences=owners, annotations={"a": "\"' \\ {}"}), headers=AGENT
        )
        for number, write in enumerate((json.dumps, compact, indented), 1):
            live["spec"]["renewTime"] = moment(number)
            live = await rig.ok("PUT", LEASE, write(live).encode(), headers=AGENT)
        assert rig.plugin.asked == 0 and live["metadata"]["ownerReferences"] == owners


async def test_kubelets_renew_in_protobuf(runner: asyncio.Runner) -> None:
    owners = [{"apiVersion": "v1", "kind": "Node", "name": "node", "uid": "1-2", "controller": False}]
    content = {**AGENT, "Content-Type": PROTOBUF}
    async with Server(Indifferent()) as rig:
        made = writer.dump(lease(0, ownerReferences=owners, labels={"a": "b"}))
        live = await rig.ok("POST", LEASES, made, headers=content)
        for number in range(1, 4):
            live["spec"]["renewTime"] = moment(number)
            live = await rig.ok("PUT", LEASE, writer.dump(live), headers=content)
            assert live["spec"]["renewTime"] == moment(number)
        assert rig.plugin.asked == 0 and live["metadata"]["ownerReferences"] == owners
        accepts = {**content, "Accept": PROTOBUF}
        live["spec"]["renewTime"] = moment(9)
        answer = await rig.call("PUT", LEASE, writer.dump(live), headers=accepts)
        assert answer.status == 200 and b"2026-11-30" not in answer.body
        live = await rig.ok("GET", LEASE)
        assert answer.body == writer.dump(live) and rig.plugin.asked == 0


def compact(obj: Object) -> str:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False)


def indented(obj: Object) -> str:
    return json.dumps(obj, indent=2) + "\n"


@pytest.mark.parametrize(
    "options", ["?dryRun=All", "?fieldManager=other", "?fieldManager=kubelet&dryRun=All"]
)
async def test_options_that_a_renewal_has_not(runner: asyncio.Runner, options: str) -> None:
    async with Server(Indifferent()) as rig:
        made = await rig.ok("POST", LEASES, lease(0), headers=AGENT)
        body = lease(1, resourceVersion=made["metadata"]["resourceVersion"])
        await rig.ok("PUT", LEASE + options, body, headers=AGENT)
        assert rig.plugin.asked == 1


async def test_an_object_that_changes_meanwhile_is_judged_as_any_other(runner: asyncio.Runner) -> None:
    async with Server(Indifferent()) as rig:
        made = await rig.ok("POST", LEASES, lease(0), headers=AGENT)
        write, conflicts = rig.storage.update, [1]

        async def update(*args: Any, **more: Any) -> Any:
            if conflicts:
                conflicts.pop()
                raise RevisionConflict(args[0], None)
            return await write(*args, **more)

        rig.storage.update = update
        assert (await renewed(rig, made, 1))["spec"]["renewTime"] == moment(1)
        assert rig.plugin.asked == 1


async def test_a_store_that_fails(runner: asyncio.Runner) -> None:
    async with Server(Indifferent()) as rig:
        made = await rig.ok("POST", LEASES, lease(0), headers=AGENT)

        async def update(*_: Any, **__: Any) -> Any:
            raise Unavailable("no quorum")

        rig.storage.update = update
        body = lease(1, resourceVersion=made["metadata"]["resourceVersion"])
        assert "no quorum" in await rig.fail(500, "PUT", LEASE, body, headers=AGENT)
        assert (await rig.ok("GET", LEASE)) == made


async def test_a_long_body_is_no_renewal(runner: asyncio.Runner) -> None:
    async with Server(Indifferent()) as rig:
        made = await rig.ok("POST", LEASES, lease(0), headers=AGENT)
        body = json.dumps(lease(1, resourceVersion=made["metadata"]["resourceVersion"])).encode()
        await rig.ok("PUT", LEASE, body + b" " * renewal.LONGEST, headers=AGENT)
        assert rig.plugin.asked == 1


async def test_a_large_lease_is_not_read_on_the_loop(runner: asyncio.Runner) -> None:
    async with Server(Indifferent()) as rig:
        finalizers = [f"example.com/{number}" for number in range(1000)]
        made = await rig.ok("POST", LEASES, lease(0, finalizers=finalizers), headers=AGENT)
        assert len(json.dumps(made)) > INLINE
        await rig.ok("PUT", LEASE, {**made, "spec": lease(1)["spec"]}, headers=AGENT)
        assert rig.plugin.asked == 1


# Every update but a renewal has to go the long way.

NOW = "2026-12-01T09:30:10Z"
ENTRY = (
    '{"manager":"m","operation":"Update","apiVersion":"coordination.k8s.io/v1","time":"2026-12-01T09:30:00Z",'
    '"fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:renewTime":{}}}}'
)
OTHERS_ENTRY = ENTRY.replace('"m"', '"n"')
LIVE = (
    '{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"resourceVersion":"7","name":"a",'
    f'"namespace":"n","uid":"u","managedFields":[{ENTRY}]}},'
    '"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000001Z"}}'
)
SENT = (
    '{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"a","namespace":"n",'
    '"resourceVersion":"7"},"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000002Z"}}'
)
TIME = '"renewTime":"2026-11-30T05:00:00.000002Z"'


def of(sent: str = SENT, live: str = LIVE, manager: str = "m", now: str = NOW) -> bytes | None:
    return RenewedTime("spec", "renewTime").of(sent.encode(), live.encode(), manager, now)


def swapped(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_bytes_of_a_renewal() -> None:
    expected = swapped(
        LIVE,
        ('"resourceVersion":"7",', ""),
        ("2026-12-01T09:30:00Z", NOW),
        (".000001Z", ".000002Z"),
    )
    assert of() == expected.encode()


@pytest.mark.parametrize(
    "pairs",
    [
        [("000002Z", "000001Z")],
        [("000002Z", "00000Z")],
        [("000002Z", "000002z")],
        [("05:00:00.000002Z", "24:00:00.000002Z")],
        [("05:00:00.000002Z", "05:60:00.000002Z")],
        [("05:00:00.000002Z", "05:00:60.000002Z")],
        [("2026-11-30", "2026-13-30")],
        [("2026-11-30", "2026-00-30")],
        [("2026-11-30", "2026-11-31")],
        [("2026-11-30", "2026-11-00")],
        [("2026-11-30", "2026-02-29")],
        [("2026-11-30", "2100-02-29")],
        [("2026-11-30", "0001-01-01")],
        [(TIME, '"renewTime":null')],
        [(f",{TIME}", "")],
        [(TIME, f"{TIME},{TIME}")],
        [(TIME, f"{TIME},")],
        [(TIME, f'{TIME},"leaseTransitions":1')],
        [('"holderIdentity":"h"', '"holderIdentity":"H"')],
        [('"holderIdentity":"h"', '"holderIdentity":"h","holderIdentity":"h"')],
        [('"resourceVersion":"7"', '"resourceVersion":"6"')],
        [('"resourceVersion":"7"', '"resourceVersion":7')],
        [(',"resourceVersion":"7"', "")],
        [('"name":"a",', "")],
        [('"namespace":"n",', "")],
        [('"name":"a"', '"name":"a","labels":{}')],
        [('"name":"a"', '"name":"a","uid":"v"')],
        [('"name":"a"', '"name":"a","managedFields":[]')],
        [('"kind":"Lease",', "")],
        [('"kind":"Lease"', '"kind":"Leases"')],
        [('"kind":"Lease"', '"kind":"Lease","kind":"Lease"')],
        [('"kind":"Lease"', '"Kind":"Lease"')],
        [('"kind":"Lease"', '"kind":"Lease","status":{}')],
        [('"holderIdentity":"h"', '"holderIdentity":"h" "x":1')],
        [('"kind":"Lease"', '"kind" "Lease"')],
        [('"kind":"Lease"', '"kind":"Le ase"')],
        [('{"kind"', '["kind"')],
        [("000002Z", "00000\\u0032Z")],
    ],
)
def test_bodies_that_are_none(pairs: list[tuple[str, str]]) -> None:
    assert of(swapped(SENT, *pairs)) is None


@pytest.mark.parametrize("sent", ["", "{", "{}", "null", "[]", SENT[:-1], SENT + "x", SENT + "{}", SENT[1:]])
def test_bodies_that_are_no_object(sent: str) -> None:
    assert of(sent) is None


@pytest.mark.parametrize(
    "pairs",
    [
        [('"name":"a"', '"deletionTimestamp":"2026-12-01T09:30:00Z","name":"a"')],
        [('"name":"a"', '"labels":{"a":"b"},"name":"a"')],
        [(f',"managedFields":[{ENTRY}]', "")],
        [(f"[{ENTRY}]", "[]")],
        [(ENTRY, f"{ENTRY},{OTHERS_ENTRY}")],
        [(ENTRY, f"{OTHERS_ENTRY},{ENTRY}")],
        [(ENTRY, ",".join([ENTRY.replace("f:renewTime", "f:strategy")] * 10 + [ENTRY]))],
        [('"manager":"m"', '"manager":"n"')],
        [('"Update"', '"Apply"')],
        [('"apiVersion":"coordination.k8s.io/v1","time"', '"apiVersion":"coordination.k8s.io/v2","time"')],
        [('"fieldsType"', '"subresource":"status","fieldsType"')],
        [('"f:renewTime"', '"f:holderIdentity"')],
        [('"f:spec":{"f:renewTime":{}}', '"f:metadata":{"f:labels":{"f:renewTime":{}}}')],
        [("2026-12-01T09:30:00Z", "2026-12-01T09:30:11Z")],
        [(',"time":"2026-12-01T09:30:00Z"', "")],
        [('"2026-11-30T05:00:00.000001Z"', "null")],
        [
            ('"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000001Z"}', '"status":{}'),
            (
                '"metadata"',
                '"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000001Z"},"metadata"',
            ),
        ],
        [
            (',"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000001Z"}', ""),
            (
                '"metadata"',
                '"spec":{"holderIdentity":"h","renewTime":"2026-11-30T05:00:00.000001Z"},"metadata"',
            ),
        ],
    ],
)
def test_objects_that_are_not_renewed(pairs: list[tuple[str, str]]) -> None:
    assert of(live=swapped(LIVE, *pairs)) is None


def test_a_manager_whose_name_needs_to_be_escaped() -> None:
    assert of(live=swapped(LIVE, ('"manager":"m"', '"manager":"\\"m"')), manager='"m') is None
    assert of(live=swapped(LIVE, ('"manager":"m"', '"manager":"é"')), manager="é") is not None


@settings(max_examples=100 * SCALE, deadline=None)
@given(st.data())
def test_any_bytes(data: st.DataObject) -> None:
    """Neither crashes nor writes over memory, whatever is sent and whatever is stored."""
    texts = []
    for text in (SENT, LIVE):
        cut = st.tuples(st.integers(0, len(text)), st.integers(0, 12), st.text('{}[]:,"\\ az09', max_size=4))
        for at, size, new in data.draw(st.lists(cut, max_size=3)):
            text = text[:at] + new + text[at + size :]
        texts.append(text)
    found = of(*texts)
    assert found is None or len(found) <= len(texts[1])


# The short way and the long one

TWISTS: dict[str, Any] = {
    "holder": lambda o: o["spec"].update(holderIdentity="other"),
    "a number that is true": lambda o: o["spec"].update(leaseDurationSeconds=True),
    "a number with a fraction": lambda o: o["spec"].update(leaseDurationSeconds=40.0),
    "another number": lambda o: o["spec"].update(leaseDurationSeconds=41),
    "an invalid number": lambda o: o["spec"].update(leaseDurationSeconds=0),
    "transitions": lambda o: o["spec"].update(leaseTransitions=1),
    "no time": lambda o: o["spec"].pop("renewTime", None),
    "null": lambda o: o["spec"].update(renewTime=None),
    "seconds": lambda o: o["spec"].update(renewTime="2026-11-30T05:00:00Z"),
    "an offset": lambda o: o["spec"].update(renewTime="2026-11-30T05:00:00.000000+01:00"),
    "no day": lambda o: o["spec"].update(renewTime="2026-02-30T05:00:00.000000Z"),
    "a leap day": lambda o: o["spec"].update(renewTime="2028-02-29T05:00:00.000000Z"),
    "acquired": lambda o: o["spec"].update(acquireTime=moment(1)),
    "unknown": lambda o: o["spec"].update(unknown=1),
    "unknown beside": lambda o: o.update(status={}),
    "no spec": lambda o: o.pop("spec"),
    "no version": lambda o: o["metadata"].pop("resourceVersion", None),
    "version 0": lambda o: o["metadata"].update(resourceVersion="0"),
    "version 1": lambda o: o["metadata"].update(resourceVersion="1"),
    "no name": lambda o: o["metadata"].pop("name"),
    "another name": lambda o: o["metadata"].update(name="other"),
    "no namespace": lambda o: o["metadata"].pop("namespace"),
    "another namespace": lambda o: o["metadata"].update(namespace="kube-system"),
    "labels": lambda o: o["metadata"].update(labels={"renewTime": "a"}),
    "no labels": lambda o: o["metadata"].pop("labels", None),
    "annotations": lambda o: o["metadata"].update(annotations={"time": "b"}),
    "finalizers": lambda o: o["metadata"].update(finalizers=["example.com/a"]),
    "no finalizers": lambda o: o["metadata"].pop("finalizers", None),
    "an owner": lambda o: o["metadata"].update(
        ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"}]
    ),
    "an owner twice": lambda o: o["metadata"].update(
        ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1"}] * 2
    ),
    "another uid": lambda o: o["metadata"].update(uid="1"),
    "no fields": lambda o: o["metadata"].update(managedFields=[]),
    "one empty field": lambda o: o["metadata"].update(managedFields=[{}]),
    "fewer fields": lambda o: o["metadata"].get("managedFields", [0]).pop(),
    "created at no time": lambda o: o["metadata"].update(creationTimestamp=None),
    "generation": lambda o: o["metadata"].update(generation=5),
    "a link": lambda o: o["metadata"].update(selfLink="/x"),
    "another kind": lambda o: o.update(kind="Pod"),
    "no kind": lambda o: o.pop("kind"),
    "another version": lambda o: o.update(apiVersion="coordination.k8s.io/v1beta1"),
}


def in_protobuf(obj: Object) -> tuple[str, bytes]:
    """The body in protobuf, or in JSON where there is no such message."""
    try:
        return PROTOBUF, writer.dump(obj)
    except (AttributeError, KeyError, TypeError, ValueError):
        return in_json(obj)


def in_json(obj: Object) -> tuple[str, bytes]:
    return JSON, compact(obj).encode()


def in_lines(obj: Object) -> tuple[str, bytes]:
    return JSON, indented(obj).encode()


LASTING = ("labels", "annotations", "an owner", "transitions", "finalizers", "acquired", "no labels")
"""Changes that an object has afterwards."""
AGENTS = st.sampled_from(("kubelet/1", "kubelet/1", "kubelet/2", "leader", 'q"uote/1'))
CHANGES = st.one_of(
    st.none(), st.none(), st.none(), st.sampled_from(LASTING), st.sampled_from(sorted(TWISTS))
)
UPDATES = st.tuples(
    st.just("update"),
    AGENTS,
    st.sampled_from(("echo", "echo", "part", "part", "stale")),
    CHANGES,
    st.sampled_from((in_json, in_lines, in_protobuf)),
    st.sampled_from(("", "", "", "", "?fieldManager=kubelet", "?fieldValidation=Strict", "?dryRun=All")),
)
OTHERS = st.one_of(
    st.tuples(st.just("patch"), AGENTS, st.sampled_from(("holderIdentity", "renewTime"))),
    st.tuples(
        st.just("apply"), st.sampled_from(("kubelet", "owner")), st.sampled_from(("same", "new", "none"))
    ),
    st.tuples(st.just("delete")),
    st.tuples(st.just("wait"), st.sampled_from((1, 10, -1))),
)


async def played(rig: Server, step: Any, number: int, before: Object) -> Any:
    """The answer to a step; `before`: an earlier state of the lease."""
    what, *how = step
    live = await rig.call("GET", LEASE)
    if what == "wait":
        rig.seconds += how[0]
        return None
    if what == "delete":
        return await rig.call("DELETE", LEASE)
    agent = {"User-Agent": how[0]}
    if live.status == 404:
        return await rig.call("POST", LEASES, lease(number), headers=agent)
    if what == "patch":
        patch = {"spec": {how[1]: moment(number) if how[1] == "renewTime" else str(number)}}
        merge = {"Content-Type": "application/merge-patch+json"}
        return await rig.call("PATCH", LEASE, patch, headers={**agent, **merge})
    if what == "apply":
        content = {"Content-Type": "application/apply-patch+yaml"}
        wanted = lease(number)
        if how[1] == "none":
            del wanted["spec"]["renewTime"]
        if how[1] == "same":
            wanted["spec"] = live.body["spec"]
        return await rig.call(
            "PATCH", f"{LEASE}?fieldManager={how[0]}&force=true", wanted, headers={**agent, **content}
        )
    _, form, twist, form_of, options = how
    version = live.body["metadata"]["resourceVersion"]
    base = before if form == "stale" else live.body
    body = lease(number, resourceVersion=version) if form == "part" else json.loads(json.dumps(base))
    body["spec"]["renewTime"] = moment(number)
    if twist is not None:
        TWISTS[twist](body)
    content, data = form_of(body)
    return await rig.call("PUT", LEASE + options, data, headers={**agent, "Content-Type": content})


def shown(answer: Any) -> str:
    """An answer without the order of members and the UID, which the two servers do not have in common."""
    return UID.sub("*", json.dumps(answer, sort_keys=True))


@settings(max_examples=40 * SCALE, deadline=None)
@given(st.lists(st.one_of(UPDATES, UPDATES, UPDATES, OTHERS), min_size=5, max_size=40))
def test_any_sequence_on_a_server_with_renewals_and_on_one_without(steps: list[Any]) -> None:
    async def play() -> None:
        async with Server(Indifferent()) as short, Server(Beholder()) as long:
            for rig in (short, long):
                await rig.ok("POST", LEASES, lease(0), headers={"User-Agent": "kubelet/1"})
            before = [await rig.ok("GET", LEASE) for rig in (short, long)]
            for number, step in enumerate(steps, 1):
                found = [
                    await played(rig, step, number, one)
                    for rig, one in zip((short, long), before, strict=True)
                ]
                assert shown(found[0]) == shown(found[1])
            states = [await rig.call("GET", LEASE) for rig in (short, long)]
            assert shown(states[0]) == shown(states[1])

    asyncio.run(play())
