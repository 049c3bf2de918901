"""The common part of the plugins of both kinds of webhooks:
the configurations they follow, and the requests for which they are wanted."""

from collections.abc import Callable

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.webhooks.calling import Caller
from pilothouse.admission.webhooks.configuration import read
from pilothouse.admission.webhooks.source import WebhookSource
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource


class WebhookPlugin(AdmissionPlugin):
    """Follows one kind of webhook configurations from the first request on.

    resource: the configurations. phase: ADMIT or VALIDATE, the label of metrics of match conditions.
    """

    resource = ""
    phase = ""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._source: WebhookSource | None = None

    def prepare(self, section: Object | None) -> Callable[[], None]:
        users = read(section)
        return lambda: self._caller.use(users)

    def _followed(self, readers: Readers) -> WebhookSource:
        if self._source is None:
            self._source = WebhookSource(readers, self.resource, self._caller.metrics, self.phase)
        return self._source

    def wants(self, a: AdmissionAttributes) -> bool:
        source = self._source or self._followed(a.readers)
        if source.none:  # PERF: nearly always
            return False
        return bool(source.about(a.operation, a.resource, a.subresource))

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        return False if self._source is None else self._source.passes_renewal(resource)
