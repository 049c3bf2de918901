"""The same requests as upstream was sent,
and the lines that it wrote for them (tests/data/audit_example.jsonl)."""

import asyncio
import json
import pathlib
import re
from typing import Any

import pytest
from audit.kept import Kept, auditor
from harness import CONFIG_MAPS, Rig

from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz.authorizer import Decision, UnionMember

LINES = (pathlib.Path(__file__).parents[1] / "data/audit_example.jsonl").read_text().splitlines()
USERS = """admin,admin,admin-uid,system:masters
alice,alice,alice-uid,dev
"""
PUBLIC = (
    'RBAC: allowed by ClusterRoleBinding "system:public-info-viewer" of ClusterRole '
    '"system:public-info-viewer" to Group "system:unauthenticated"'
)
POLICY = (
    {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
    {"level": "Request", "resources": [{"group": "", "resources": ["configmaps"]}]},
    {"level": "RequestResponse", "omitStages": ["RequestReceived"]},
)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
MERGE = {"content-type": "application/merge-patch+json"}
AS_BOB = {"impersonate-user": "bob", "impersonate-group": "g"}

LONG_ID = json.loads(LINES[18])["auditID"]

REQUESTS: list[tuple[list[int], str, str, Any, str, dict[str, str]]] = [
    ([0, 1], "POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}}, "admin", {}),
    ([2, 3], "POST", CONFIG_MAPS, {"metadata": {"name": "c"}, "nope": 1}, "admin", {}),
    ([4, 5], "GET", CONFIG_MAPS + "/c", None, "admin", AS_BOB),
    (
        [6],
        "GET",
        "/apis/apps/v1/namespaces/default/deployments/nope?x=1",
        None,
        "admin",
        {"user-agent": "ua/1"},
    ),
    ([7, 8], "GET", "/api/v1/namespaces?watch=1&timeoutSeconds=1", None, "admin", {}),
    ([9], "GET", "/version", None, "", {}),
    ([10], "GET", "/nope", None, "wrong", {}),
    ([11], "GET", "/api/v1/pods", None, "alice", {}),
    ([12, 13], "PATCH", CONFIG_MAPS + "/c", b'{ "data": {"x": "y"} }', "admin", MERGE),
    ([14, 15], "DELETE", CONFIG_MAPS + "/c", None, "admin", {}),
    ([16], "GET", "/healthz", None, "admin", {}),
    ([17], "POST", LEASES, {"metadata": {"generateName": "l-"}, "spec": {}}, "admin", {}),
    ([18], "GET", "/version", None, "admin", {"user-agent": "curl/8.14.1", "audit-id": LONG_ID}),
]


class Public:
    """Lets anybody read /version and the administrator act as others;
    nothing else that is not a superuser's."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return Decision(True, reason=PUBLIC) if attributes.path == "/version" else Decision(False)


def masked(line: str) -> Any:
    """A line without what differs from run to run, with its members in their order."""
    line = re.sub(r'"requestReceivedTimestamp":"[^"]*"', '"requestReceivedTimestamp":"<microtime>"', line)
    line = re.sub(r'"stageTimestamp":"[^"]*"', '"stageTimestamp":"<microtime>"', line)
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", line)
    line = re.sub(r'"(creationTimestamp|time)":"[^"<]*"', r'"\1":"<time>"', line)
    line = re.sub(r'"name":"l-[a-z0-9]{5}"', '"name":"l-"', line)
    line = re.sub(r'"resourceVersion":"\d+"', '"resourceVersion":""', line)
    event = json.loads(line, object_pairs_hook=list)
    return [(name, in_any_order(value) if name == "responseObject" else value) for name, value in event]


def in_any_order(value: Any) -> Any:
    """The members of an object in the order of their names: what is stored has an order of its own."""
    if isinstance(value, list) and all(isinstance(one, tuple) for one in value):
        return sorted((name, in_any_order(one)) for name, one in value)
    return [in_any_order(one) for one in value] if isinstance(value, list) else value


async def written(kept: Kept, rig: Rig, *sent: Any) -> list[str]:
    method, target, body, user, headers = sent
    request = rig.request(method, target, body, user, headers)
    request.peer = ("127.0.0.1", 50000)
    found = rig.pipeline.handle(request)
    answer = rig.answer(found if not hasattr(found, "__await__") else await found)
    if answer.stream is not None:
        answer.stream.close()
    return [line.decode() for line in kept.written()]


async def all_written() -> list[list[str]]:
    made, kept = auditor(*POLICY)
    rig = Rig(audit=made)
    rig.authenticator = UnionAuthenticator(
        tokens=[TokenFile(USERS, ("api",))], audiences=("api",), anonymous=True
    )
    async with rig:
        rig.handlers.pipeline.stages.authorizer.replace([UnionMember(Public())])  # type: ignore[attr-defined]
        rig.health.finish()
        kept.written()
        return [await written(kept, rig, *sent) for _, *sent in REQUESTS]


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    return asyncio.run(all_written())


@pytest.mark.parametrize("i", range(len(REQUESTS)))
def test_every_event_is_the_one_of_upstream(lines: list[list[str]], i: int) -> None:
    wanted = [LINES[at] for at in REQUESTS[i][0]]
    assert [masked(line) for line in lines[i]] == [masked(line) for line in wanted]


def test_all_lines_were_compared() -> None:
    assert sorted(at for one in REQUESTS for at in one[0]) == list(range(len(LINES)))
