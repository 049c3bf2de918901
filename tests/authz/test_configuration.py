"""AuthorizationConfiguration files."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.api.configfile import ConfigurationError
from pilothouse.authz.configuration import ConfiguredAuthorizer, WebhookConfiguration, load, read

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}


def webhook(**changes: Any) -> dict[str, Any]:
    return {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": __file__},
        **changes,
    }


def of(*authorizers: Any) -> list[ConfiguredAuthorizer]:
    return read(json.dumps({**HEAD, "authorizers": authorizers}).encode())


def test_authorizers_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"""
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: first.example
  webhook:
    authorizedTTL: 1m
    unauthorizedTTL: 500ms
    cacheUnauthorizedRequests: false
    timeout: 1.5s
    subjectAccessReviewVersion: v1beta1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: NoOpinion
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {__file__}}}
    matchConditions:
    - expression: request.user != 'root'
- {{type: Node, name: node}}
- {{type: Webhook, name: second, webhook: {json.dumps(webhook())}}}
"""
    )
    first, node, second = load(str(file))
    assert first.webhook == WebhookConfiguration(
        kubeconfig=__file__,
        version="v1beta1",
        authorized_ttl=60,
        unauthorized_ttl=0,
        timeout=1.5,
        deny=False,
        conditions=("request.user != 'root'",),
    )
    assert node == ConfiguredAuthorizer("Node", "node")
    assert second.webhook is not None and second.webhook.deny
    assert (second.webhook.authorized_ttl, second.webhook.unauthorized_ttl) == (300, 30)


TEN_SECONDS = {"type": "Webhook", "name": "w"}


@pytest.mark.parametrize(
    ("authorizers", "why"),
    [
        ([], "authorizers: Required value: at least one authorization mode must be defined"),
        ([{"name": "x"}], "authorizers[0].type: Required value"),
        (
            [{"type": "X", "name": "x"}],
            'authorizers[0].type: Unsupported value: "X": supported values: "ABAC", "AlwaysAllow", '
            '"AlwaysDeny", "Node", "RBAC", "Webhook"',
        ),
        (
            [{"type": "RBAC", "name": "a"}, {"type": "RBAC", "name": "b"}],
            'authorizers[1].type: Duplicate value: "RBAC"',
        ),
        (
            [{"type": "RBAC", "name": "a"}, {"type": "Node", "name": "a"}],
            'authorizers[1].name: Duplicate value: "a"',
        ),
        ([{"type": "RBAC"}], "authorizers[0].name: Required value"),
        (
            [{"type": "RBAC", "name": "a", "webhook": {}}],
            'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
        ),
        (
            [{"type": "Webhook", "name": "a"}],
            "authorizers[0].webhook: Required value: required when type=Webhook",
        ),
    ],
)
def test_what_is_wrong_with_authorizers(authorizers: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as err:
        of(*authorizers)
    assert str(err.value) == why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"timeout": None}, "timeout: Required value"),
        ({"timeout": "31s"}, 'timeout: Invalid value: "31s": must be > 0s and <= 30s'),
        ({"timeout": "-1s"}, 'timeout: Invalid value: "-1s": must be > 0s and <= 30s'),
        ({"authorizedTTL": "-1s"}, 'authorizedTTL: Invalid value: "-1s": must be > 0s'),
        ({"unauthorizedTTL": "-1m"}, 'unauthorizedTTL: Invalid value: "-1m0s": must be > 0s'),
        ({"subjectAccessReviewVersion": ""}, "subjectAccessReviewVersion: Required value"),
        (
            {"subjectAccessReviewVersion": "v2"},
            'subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
        ),
        ({"failurePolicy": None}, "failurePolicy: Required value"),
        (
            {"failurePolicy": "X"},
            'failurePolicy: Unsupported value: "X": supported values: "NoOpinion", "Deny"',
        ),
        (
            {"matchConditions": [{"expression": "true"}]},
            (
                "matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are"
                " specified"
            ),
        ),
        ({"connectionInfo": {}}, "connectionInfo.type: Required value"),
        (
            {"connectionInfo": {"type": "KubeConfigFile"}},
            "connectionInfo.kubeConfigFile: Required value",
        ),
        (
            {"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "x"}},
            'connectionInfo.kubeConfigFile: Invalid value: "x": must be an absolute path',
        ),
        (
            {"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/nowhere"}},
            (
                'connectionInfo.kubeConfigFile: Invalid value: "/nowhere": error loading file: stat /nowhere:'
                " no such file or directory"
            ),
        ),
        (
            {"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/tmp"}},
            'connectionInfo.kubeConfigFile: Invalid value: "/tmp": must be a regular file',
        ),
    ],
)
def test_what_is_wrong_with_a_webhook(changes: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as err:
        of({"type": "Webhook", "name": "w", "webhook": webhook(**changes)})
    assert str(err.value) == f"authorizers[0].{why}"


def conditions(*texts: str) -> Any:
    return of(
        {
            "type": "Webhook",
            "name": "w",
            "webhook": webhook(
                matchConditionSubjectAccessReviewVersion="v1",
                matchConditions=[{"expression": text} for text in texts],
            ),
        }
    )


def test_what_is_wrong_with_conditions() -> None:
    with pytest.raises(ConfigurationError) as err:
        conditions("", "true", "true", "1")
    where = "authorizers[0].matchConditions"
    assert str(err.value) == (
        f"[{where}[0].expression: Required value, "
        f'{where}[2].expression: Duplicate value: "true", '
        f'{where}[3].expression: Invalid value: "1": must evaluate to bool but got int]'
    )
    with pytest.raises(ConfigurationError, match="Too many: 65: must have at most 64 items"):
        conditions(*(f"{i} == 1" for i in range(65)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"x", "failed to load AuthorizationConfiguration: [it must be an object]"),
        (b"kind: X", 'no kind "X" is registered for version ""'),
        (json.dumps({**HEAD, "more": 1}).encode(), 'strict decoding error: unknown field "more"'),
        (json.dumps({**HEAD, "authorizers": 1}).encode(), "authorizers: it must be a list"),
        (
            json.dumps({**HEAD, "authorizers": [{"typ": 1}]}).encode(),
            'strict decoding error: unknown field "authorizers[0].typ"',
        ),
        (
            json.dumps({**HEAD, "authorizers": [{"type": 1}]}).encode(),
            "authorizers[0].type: it must be a string",
        ),
        (
            json.dumps(
                {
                    **HEAD,
                    "authorizers": [{"type": "Webhook", "name": "w", "webhook": webhook(timeout="3")}],
                }
            ).encode(),
            'authorizers[0].timeout: time: missing unit in duration "3"',
        ),
    ],
)
def test_files_that_cannot_be_read(data: bytes, why: str) -> None:
    with pytest.raises(ConfigurationError) as err:
        read(data)
    assert str(err.value).startswith(why)


def test_a_file_that_is_missing() -> None:
    with pytest.raises(
        ConfigurationError, match='unable to read authorization configuration from "/nowhere"'
    ):
        load("/nowhere")
