"""The issuers of tokens by which a cluster knows users: its object names them (`spec.authentication`).

They are those of an AuthenticationConfiguration (KEP-3331), and read and judged as those of the server's own
file are. The server fetches the keys of an issuer from the address that the object names, as it does for its
flags: who may write clusters in the server's own cluster is trusted with that.
"""

from collections.abc import Callable

import orjson

from pilothouse import errors
from pilothouse.admission.about import WRITES, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values.fields import Object
from pilothouse.authn.configuration import KIND as CONFIGURATION
from pilothouse.authn.configuration import VERSIONS, AuthenticationConfiguration, read
from pilothouse.authn.validation import validated
from pilothouse.clusters.definition import GROUP, KIND, NAME
from pilothouse.logs import Logger
from pilothouse.registry.admission import AdmissionAttributes

log = Logger(__name__)

PATH = "spec.authentication"


def configuration(given: Object | None, own: tuple[str, ...]) -> AuthenticationConfiguration:
    """The configuration that an object has; ConfigurationError. own: the issuers of the cluster's service
    accounts, which it may not name."""
    if not given:
        return AuthenticationConfiguration()
    found = read(orjson.dumps({"apiVersion": VERSIONS[0], "kind": CONFIGURATION, **given}))
    validated(found, own)
    for at, one in enumerate(found.jwt):
        if one.issuer.egress_selector_type:
            raise ConfigurationError(
                f"jwt[{at}].issuer.egressSelectorType: the keys of a cluster's issuers are fetched directly"
            )
    return found


def usable(given: Object | None, own: tuple[str, ...], name: str) -> AuthenticationConfiguration:
    """The same of a stored object. One that flags or a newer version make unusable has no issuers."""
    try:
        return configuration(given, own)
    except ConfigurationError as error:
        log.warning("The issuers of a cluster cannot be used", cluster=name, err=error)
        return AuthenticationConfiguration()


class ClusterIssuers(AdmissionPlugin):
    """422 for a cluster whose issuers cannot be used. `own` tells the issuers of a cluster's service accounts
    by its name."""

    name = "ClusterIssuers"
    about = (About(WRITES, (NAME,)),)

    def __init__(self, own: Callable[[str], tuple[str, ...]]) -> None:
        self._own = own

    async def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        name, given = a.obj["metadata"]["name"], (a.obj.get("spec") or {}).get("authentication")
        if a.old is not None and given == (a.old.get("spec") or {}).get("authentication"):
            return
        try:
            configuration(given, self._own(name) if given else ())
        except ConfigurationError as error:
            cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {error}", "field": PATH}
            raise errors.invalid(GROUP, KIND, name, [cause]) from None
