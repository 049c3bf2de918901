"""Audit records of requests on their way through the pipeline."""

import asyncio
import json
from typing import Any

import pytest
from audit.kept import Kept, Object, auditor, policy
from harness import CONFIG_MAPS, PODS, Rig, config_map
from virtual_time import VirtualLoop

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.identity import User
from pilothouse.audit.policy import parse
from pilothouse.authn.authenticator import TokenIdentity
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.server.request import Response

ALL = {"level": "RequestResponse"}
METADATA = {"level": "Metadata"}
NAMESPACES = "/api/v1/namespaces"
PROTOBUF = {"accept": "application/vnd.kubernetes.protobuf"}


def run(body: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body)


async def events(kept: Kept, rig: Rig, *sent: Any, **more: Any) -> list[Object]:
    kept.written()
    answer = await rig.call(*sent, **more)
    if answer.stream is not None:
        answer.stream.close()
    return kept.events()


def stages(found: list[Object]) -> list[str]:
    return [one["stage"] for one in found]


def test_a_strict_back_end_that_takes_nothing_refuses_requests() -> None:
    async def body() -> None:
        made, kept = auditor(ALL, strict=True)
        async with Rig(audit=made) as rig:
            kept.broken = True
            refused = await rig.call("POST", CONFIG_MAPS + "?a=<b>", config_map("c"))
            assert (refused.status, refused.headers["content-type"]) == (500, "text/plain; charset=utf-8")
            assert refused.body == (
                f'Internal Server Error: "{CONFIG_MAPS}?a=&lt;b&gt;": failed to store audit event\n'
            )
            assert made.metrics.rejected.values == {(): 1}
            kept.broken = False
            kept.written()
            assert (await rig.call("GET", CONFIG_MAPS + "/c")).status == 404
            assert stages(kept.events()) == ["RequestReceived", "ResponseComplete"]

    run(body())


def test_others_go_on_without_it() -> None:
    async def body() -> None:
        made, kept = auditor(ALL)
        async with Rig(audit=made) as rig:
            kept.broken = True
            assert (await rig.call("POST", CONFIG_MAPS, config_map("c"))).status == 201
            assert made.metrics.rejected.values == {(): 0}

    run(body())


class Faulty(AdmissionPlugin):
    """A plugin that has a bug, and writes an annotation before it shows."""

    def mutate(self, a: AdmissionAttributes) -> None:
        a.annotations["faulty.example.com/seen"] = a.name
        if a.name == "bug":
            raise RuntimeError("secret")


class Slow(AdmissionPlugin):
    """Waits until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = asyncio.Event(), asyncio.Event()

    async def mutate(self, a: AdmissionAttributes) -> None:
        self.entered.set()
        await self.go.wait()


def test_a_bug_is_a_panic() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig([Faulty()], audit=made) as rig:
            begun, ended = await events(kept, rig, "POST", CONFIG_MAPS, config_map("bug"))
            assert (begun["stage"], ended["stage"]) == ("RequestReceived", "Panic")
            assert ended["responseStatus"] == {
                "metadata": {},
                "status": "Failure",
                "message": "APIServer panic'd: RuntimeError",
                "reason": "InternalError",
                "code": 500,
            }
            assert ended["annotations"]["faulty.example.com/seen"] == "bug"
            assert "annotations" not in begun

    run(body())


def test_annotations_of_plugins_are_passed_on() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig([Faulty()], audit=made) as rig:
            *_, ended = await events(kept, rig, "POST", CONFIG_MAPS, config_map("c"))
            assert ended["annotations"] == {
                "authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "",
                "faulty.example.com/seen": "c",
            }

    run(body())


def test_the_beginning_is_written_before_a_request_waits() -> None:
    async def body() -> None:
        plugin = Slow()
        made, kept = auditor(METADATA)
        rig = Rig([plugin], audit=made, namespaces=())
        async with rig:
            kept.written()
            task = asyncio.ensure_future(rig.call("POST", NAMESPACES, {"metadata": {"name": "n"}}))
            await plugin.entered.wait()
            await asyncio.sleep(0)
            assert stages(kept.events()) == ["RequestReceived"]
            plugin.go.set()
            assert (await task).status == 201
            assert stages(kept.events()) == ["ResponseComplete"]

    run(body())


def test_what_is_told_of_a_token_is_in_every_event() -> None:
    class Tokens:
        name = "tokens"

        async def authenticate_token(self, token: str, audiences: Any) -> TokenIdentity:
            return TokenIdentity(User("jane"), annotations=(("authentication.k8s.io/stale-token", "s"),))

    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            rig.authenticator.tokens = (Tokens(),)
            for user in ("first", "first", "nobody"):
                got = await events(kept, rig, "GET", CONFIG_MAPS, user=user)
                assert stages(got) == ["RequestReceived", "ResponseComplete"]
                assert got[0]["annotations"] == {"authentication.k8s.io/stale-token": "s"}
                assert got[1]["annotations"].keys() > got[0]["annotations"].keys()
            refused = rig.pipeline.admit(rig.request("POST", CONFIG_MAPS, {}, "first"))
            assert isinstance(refused, Response) and refused.status == 403
            rig.answer(refused)
            begun, ended = kept.events()
            assert begun["annotations"] == {"authentication.k8s.io/stale-token": "s"}
            assert ended["annotations"]["authorization.k8s.io/decision"] == "forbid"

    run(body())


def test_a_client_that_has_left() -> None:
    async def body() -> None:
        plugin = Slow()
        made, kept = auditor(METADATA)
        async with Rig([plugin], audit=made, namespaces=()) as rig:
            task = asyncio.ensure_future(rig.call("POST", NAMESPACES, {"metadata": {"name": "n"}}))
            await plugin.entered.wait()
            task.cancel()
            await asyncio.wait((task,))
            *_, ended = kept.events()
            assert ended["stage"] == "ResponseComplete"
            assert ended["responseStatus"] == {
                "metadata": {},
                "status": "Success",
                "message": "Connection closed early",
                "code": 200,
            }

    run(body())


def test_a_deadline_is_the_status_of_the_answer() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig([Slow()], audit=made, namespaces=()) as rig:
            *_, ended = await events(kept, rig, "POST", NAMESPACES, {"metadata": {"name": "n"}})
            assert (ended["stage"], ended["responseStatus"]["reason"]) == ("ResponseComplete", "Timeout")
            assert ended["responseStatus"]["code"] == 504

    run(body())


def test_a_request_that_is_refused_by_its_head_has_both_events() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            kept.written()
            levels = list(made.metrics.level_counts)
            refused = rig.pipeline.admit(rig.request("POST", CONFIG_MAPS, user="jane"))
            rig.answer(refused)  # type: ignore[arg-type]
            begun, ended = kept.events()
            assert "responseStatus" not in begun and "annotations" not in begun
            assert (ended["responseStatus"]["code"], ended["stage"]) == (403, "ResponseComplete")
            assert ended["annotations"]["authorization.k8s.io/decision"] == "forbid"
            assert made.metrics.level_counts[1] == levels[1] + 1
            assert rig.pipeline.admit(rig.request("POST", CONFIG_MAPS)) is None
            assert kept.events() == [] and made.metrics.level_counts[1] == levels[1] + 1

    run(body())


@pytest.mark.parametrize(("method", "target"), [("handle", "/version"), ("admit", CONFIG_MAPS)])
def test_a_wrong_credential_is_one_event(method: str, target: str) -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            kept.written()
            rig.answer(getattr(rig.pipeline, method)(rig.request("POST", target, user="wrong")))
            (event,) = kept.events()
            assert (event["stage"], event["user"]) == ("ResponseStarted", {})
            assert event["responseStatus"]["code"] == 401

    run(body())


def test_a_timeout_that_is_none_is_recorded_without_a_user() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            (event,) = await events(kept, rig, "GET", CONFIG_MAPS + "?timeout=soon")
            assert (event["stage"], event["user"]) == ("ResponseStarted", {})
            assert event["responseStatus"]["reason"] == "BadRequest"

    run(body())


def test_rules_for_users_do_not_match_where_there_is_none() -> None:
    async def body() -> None:
        made, kept = auditor({"level": "Metadata", "userGroups": ["system:unauthenticated"]})
        async with Rig(audit=made) as rig:
            assert await events(kept, rig, "GET", "/version", user="wrong") == []
            assert stages(await events(kept, rig, "GET", "/version", user="")) == [
                "RequestReceived",
                "ResponseComplete",
            ]

    run(body())


def test_deprecated_versions_are_annotated() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            *_, ended = await events(kept, rig, "GET", "/api/v1/namespaces/default/endpoints")
            assert ended["annotations"]["k8s.io/deprecated"] == "true"
            assert "k8s.io/removed-release" not in ended["annotations"]

    run(body())


def test_a_put_names_the_object_by_its_body() -> None:
    async def body() -> None:
        made, kept = auditor(ALL)
        async with Rig(audit=made) as rig:
            obj = await rig.ok("POST", CONFIG_MAPS, config_map("c"))
            begun, ended = await events(kept, rig, "PUT", CONFIG_MAPS + "/c", obj)
            assert "uid" not in begun["objectRef"]
            assert ended["objectRef"] == {
                "resource": "configmaps",
                "namespace": "default",
                "name": "c",
                "uid": obj["metadata"]["uid"],
                "apiVersion": "v1",
                "resourceVersion": obj["metadata"]["resourceVersion"],
            }

    run(body())


def test_the_request_object_has_defaults_and_is_older_than_admission() -> None:
    """Upstream's decoder applies the defaults of the version; admission and the namespace come later."""

    class Labels(AdmissionPlugin):
        def mutate(self, a: AdmissionAttributes) -> None:
            if a.obj is not None:
                a.obj["metadata"]["labels"] = {"by": "plugin"}

    async def body() -> None:
        made, kept = auditor(ALL)
        async with Rig([Labels()], audit=made) as rig:
            pod = {
                "metadata": {"name": "p"},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
                "none": 1,
            }
            *_, ended = await events(kept, rig, "POST", PODS, pod)
            sent, answer = ended["requestObject"], ended["responseObject"]
            assert list(sent)[:2] == ["kind", "apiVersion"]
            assert sent["metadata"] == {"name": "p"} and "none" not in sent
            assert sent["spec"]["dnsPolicy"] == "ClusterFirst"
            assert answer["metadata"]["labels"] == {"by": "plugin"}

    run(body())


def test_delete_options_are_the_request_object() -> None:
    async def body() -> None:
        made, kept = auditor({"level": "Request"})
        async with Rig(audit=made) as rig:
            await rig.ok("POST", CONFIG_MAPS, config_map("c"))
            *_, ended = await events(
                kept, rig, "DELETE", CONFIG_MAPS + "/c", {"propagationPolicy": "Background"}
            )
            assert ended["requestObject"] == {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "propagationPolicy": "Background",
            }
            assert "responseObject" not in ended and ended["responseStatus"]["status"] == "Success"

    run(body())


def test_an_applied_configuration_in_yaml_is_json() -> None:
    async def body() -> None:
        made, kept = auditor({"level": "Request"})
        async with Rig(audit=made) as rig:
            text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata: {a: b}\n"
            target = CONFIG_MAPS + "/c?fieldManager=m"
            apply = {"content-type": "application/apply-patch+yaml"}
            *_, ended = await events(kept, rig, "PATCH", target, text, headers=apply)
            assert ended["requestObject"]["data"] == {"a": "b"} and ended["responseStatus"]["code"] == 201
            *_, ended = await events(kept, rig, "PATCH", target, b"{", headers=apply)
            assert "requestObject" not in ended and ended["responseStatus"]["code"] == 400

    run(body())


LISTS: list[dict[str, str]] = [
    {},
    PROTOBUF,
    {"accept": "application/yaml"},
    {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"},
    {"accept": "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"},
]


@pytest.mark.parametrize("slices", [False, True])
@pytest.mark.parametrize("headers", LISTS)
def test_lists_are_recorded_in_json_whatever_is_sent(headers: dict[str, str], slices: bool) -> None:
    async def body() -> None:
        made, kept = auditor(ALL)
        async with Rig(audit=made) as rig:
            for name in ("a", "b"):
                await rig.ok("POST", CONFIG_MAPS, config_map(name, data={"x": "y"}))
            if slices:
                rig.responder.stream_above = 1
            kept.written()
            answer = await rig.call("GET", CONFIG_MAPS, headers=headers)
            while answer.stream is not None and not answer.stream.closed:
                await asyncio.sleep(0)
            *_, ended = kept.events()
            shown = ended["responseObject"]
            rows = shown["rows"] if shown["kind"] == "Table" else shown["items"]
            objects = [row["object"] if shown["kind"] == "Table" else row for row in rows]
            assert [one["metadata"]["name"] for one in objects] == ["a", "b"]
            assert "managedFields" in objects[0]["metadata"]
            if answer.body is not None and isinstance(answer.body, dict):
                assert shown == answer.body

    run(body())


@pytest.mark.parametrize("headers", [*LISTS[:3], {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}])
def test_managed_fields_can_be_left_out(headers: dict[str, str]) -> None:
    async def body() -> None:
        made, kept = auditor({**ALL, "omitManagedFields": True})
        async with Rig(audit=made) as rig:
            obj = await rig.ok("POST", CONFIG_MAPS, config_map("a", data={"x": "y"}))
            assert "managedFields" in obj["metadata"]
            for sent in (
                ("PUT", CONFIG_MAPS + "/a", obj),
                ("GET", CONFIG_MAPS + "/a", None),
                ("GET", CONFIG_MAPS, None),
            ):
                kept.written()
                await rig.call(*sent, headers=headers)
                line = kept.written()[-1]
                assert b"responseObject" in line and b"managedFields" not in line
                assert json.loads(line).get("requestObject", {}).get("kind", "ConfigMap") == "ConfigMap"

    run(body())


def test_errors_and_discovery_in_protobuf_are_json_as_well() -> None:
    async def body() -> None:
        made, kept = auditor(ALL)
        async with Rig(audit=made) as rig:
            *_, ended = await events(kept, rig, "GET", CONFIG_MAPS + "/none", headers=PROTOBUF)
            assert ended["responseObject"]["reason"] == ended["responseStatus"]["reason"] == "NotFound"
            *_, ended = await events(kept, rig, "GET", "/api/v1")
            assert ended["responseObject"]["kind"] == "APIResourceList"
            *_, ended = await events(kept, rig, "GET", "/openapi/v3")
            assert "responseObject" not in ended

    run(body())


def test_a_new_policy_is_for_new_requests() -> None:
    async def body() -> None:
        made, kept = auditor({"level": "None"})
        async with Rig(audit=made) as rig:
            assert await events(kept, rig, "GET", CONFIG_MAPS) == []
            made.policy = parse(policy({"level": "Metadata", "omitStages": ["RequestReceived"]}))
            assert stages(await events(kept, rig, "GET", CONFIG_MAPS)) == ["ResponseComplete"]
            assert made.metrics.level_counts[0] > 0 and made.metrics.level_counts[1] == 1
            assert made.metrics.event_counts[0] == 1

    run(body())


def test_a_name_in_a_field_selector_is_the_name_of_the_target() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            *_, ended = await events(kept, rig, "GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3Dc")
            assert ended["objectRef"]["name"] == "c"

    run(body())


def test_without_an_auditor_nothing_is_recorded() -> None:
    async def body() -> None:
        async with Rig() as rig:
            assert rig.pipeline.stages.observer.audit is None
            assert (await rig.call("GET", CONFIG_MAPS)).status == 200

    run(body())


def test_neither_bodies_nor_credentials_are_in_metadata() -> None:
    async def body() -> None:
        made, kept = auditor(METADATA)
        async with Rig(audit=made) as rig:
            secrets = "/api/v1/namespaces/default/secrets"
            secret = {"metadata": {"name": "s"}, "stringData": {"a": "canary-value"}}
            merge = {"content-type": "application/merge-patch+json"}
            kept.written()
            await rig.ok("POST", secrets, secret, headers={"x-secret": "canary-header"})
            await rig.ok("GET", secrets + "/s")
            await rig.ok("PATCH", secrets + "/s", {"stringData": {"b": "canary-patch"}}, headers=merge)
            await rig.call("GET", secrets, user="canary-token")
            await rig.ok("DELETE", secrets + "/s", {"propagationPolicy": "Orphan"})
            written = b"".join(kept.written())
            assert written.count(b"\n") == 9
            assert b"canary" not in written and b"Y2FuYXJ5" not in written and b"Bearer" not in written

    run(body())
