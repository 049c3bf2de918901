"""The plugin TeamLabels."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pilothouse.admission.api import AdmissionRequest, Object, Plugin, Refused

LABEL_VALUE = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"


class TeamLabels(Plugin):
    """Labels pods and deployments with the team of their namespace, and refuses another team's label."""

    resources = ("pods", "deployments.apps", "namespaces")
    reads = ("namespaces",)
    configuration_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "label": {"type": "string", "minLength": 1, "default": "team"},
            "teams": {
                "type": "array",
                "x-kubernetes-list-type": "set",
                "maxItems": 1000,
                "items": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
            },
        },
    }

    def __init__(self, configuration: Object) -> None:
        super().__init__(configuration)
        self.label: str = configuration["label"]
        self.teams = frozenset(configuration.get("teams") or ())

    def mutate(self, request: AdmissionRequest) -> None:
        """Add the label where it is missing."""
        team = self._owner(request)
        if team and self.label not in _labels(request.object):
            assert request.object is not None
            metadata = request.object.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), self.label: team}
            request.audit("labelled", team)

    def validate(self, request: AdmissionRequest) -> None:
        """Refuse a team that there is none of, and on a workload any but that of its namespace."""
        found = _labels(request.object).get(self.label)
        if found is None:
            return
        if request.resource == "namespaces":
            if self.teams and found not in self.teams:
                raise Refused(f"there is no team {found!r}", [self._cause(found)])
            return
        team = self._owner(request)
        if not team:
            request.warn(f"the namespace {request.namespace} belongs to no team")
        elif found != team:
            raise Refused(f"the namespace belongs to the team {team!r}", [self._cause(found)])

    def _owner(self, request: AdmissionRequest) -> str:
        """The team of the namespace that the request is about, "" when it has none."""
        if request.resource == "namespaces":
            return ""
        team: str = _labels(request.readers.get("namespaces", "", request.namespace)).get(self.label, "")
        return team

    def _cause(self, team: str) -> dict[str, str]:
        return {
            "reason": "FieldValueInvalid",
            "field": f"metadata.labels[{self.label}]",
            "message": f'Invalid value: "{team}"',
        }


def _labels(obj: Object | None) -> dict[str, str]:
    return ((obj or {}).get("metadata") or {}).get("labels") or {}
