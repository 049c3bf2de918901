"""TeamLabels without a server: a request is an object like any other."""

from collections.abc import Iterable
from typing import Any

import pytest
from pilothouse_team_labels.plugin import TeamLabels

from pilothouse.admission.api import AdmissionRequest, Object, Refused, UserInfo


class Namespaces:
    """A cluster with one namespace, which belongs to a team."""

    def __init__(self, **labels: str) -> None:
        self.shop: Object = {"metadata": {"name": "shop", "labels": labels}}

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        assert resource == "namespaces"
        return self.shop if name == "shop" else None

    def list(self, resource: str, namespace: str = "") -> Iterable[Object]:
        return [self.shop]


def request(obj: Object, cluster: Namespaces, resource: str = "pods") -> AdmissionRequest:
    return AdmissionRequest(
        operation="CREATE",
        group="",
        version="v1",
        resource=resource,
        subresource="",
        kind="Pod",
        namespace="shop",
        name="web",
        object=obj,
        old_object=None,
        user=UserInfo("jane"),
        options={},
        dry_run=False,
        readers=cluster,
    )


def pod(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "web", "labels": labels}}


def test_a_pod_gets_the_label_of_its_namespace() -> None:
    asked = request(pod(app="web"), Namespaces(team="payments"))
    TeamLabels({"label": "team"}).mutate(asked)
    assert asked.object is not None
    assert asked.object["metadata"]["labels"] == {"app": "web", "team": "payments"}
    assert asked.annotations == {"labelled": "payments"}


def test_a_label_that_is_there_stays() -> None:
    asked = request(pod(team="shipping"), Namespaces(team="payments"))
    TeamLabels({"label": "team"}).mutate(asked)
    assert asked.object == pod(team="shipping")


def test_the_label_of_another_team_is_refused() -> None:
    with pytest.raises(Refused, match="belongs to the team 'payments'") as caught:
        TeamLabels({"label": "team"}).validate(request(pod(team="shipping"), Namespaces(team="payments")))
    assert caught.value.causes[0]["field"] == "metadata.labels[team]"


def test_a_namespace_without_a_team_is_told() -> None:
    asked = request(pod(team="shipping"), Namespaces())
    TeamLabels({"label": "team"}).validate(asked)
    assert asked.warnings == ["the namespace shop belongs to no team"]


def test_only_teams_of_the_configuration_own_namespaces() -> None:
    plugin = TeamLabels({"label": "team", "teams": ["payments"]})
    plugin.validate(request(pod(team="payments"), Namespaces(), "namespaces"))
    with pytest.raises(Refused, match="there is no team 'nobody'"):
        plugin.validate(request(pod(team="nobody"), Namespaces(), "namespaces"))
