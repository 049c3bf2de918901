"""Finds the kubelet of a node: its address, its TLS trust, and the errors for its refusals."""

from collections.abc import Sequence
from typing import NamedTuple

from pilothouse import errors
from pilothouse.endpoints.request import refusals
from pilothouse.outbound.http import Answer, ClientError, Trust
from pilothouse.registry.readers import Readers
from pilothouse.registry.service_resolver import url_host

PORT = 10250
"""The port of a kubelet whose node declares none."""

_ERROR_BYTES = 50_000


class Kubelet(NamedTuple):
    """The address of a node's kubelet and how its certificate is checked."""

    host: str
    port: int
    trust: Trust
    websockets: bool = False
    """Whether it takes the WebSockets of exec, attach and port-forward as clients send them (KEP-4006)."""

    @property
    def base(self) -> str:
        """The URL of the kubelet's root, without a trailing slash."""
        return f"https://{url_host(self.host)}:{self.port}"


class Kubelets:
    """Finds the kubelets of nodes; tries `address_types` in order (--kubelet-preferred-address-types)."""

    def __init__(self, readers: Readers, address_types: Sequence[str], trust: Trust) -> None:
        self._readers = readers
        self._address_types = tuple(address_types)
        self._trust = trust

    def use(self, trust: Trust) -> None:
        """Check the certificates of kubelets by another trust from now on."""
        self._trust = trust

    def of(self, name: str, resource: str = "nodes") -> Kubelet:
        """The kubelet of a node. Raises NotFound that names `resource`,
        as upstream does, or Unknown without an address."""
        node = self._readers.get("nodes", "", name)
        if node is None:
            raise errors.not_found("", resource, name)
        status = node.get("status") or {}
        addresses = status.get("addresses") or []
        for kind in self._address_types:
            found = next((a["address"] for a in addresses if a.get("type") == kind), None)
            if found is not None:
                break
        else:
            known = " ".join(f"{{{a.get('type', '')} {a.get('address', '')}}}" for a in addresses)
            raise errors.Unknown(f"no preferred addresses found; known addresses: [{known}]")
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or PORT
        declared = status.get("declaredFeatures") or ()
        return Kubelet(found, port, self._trust, "ExtendWebSocketsToKubelet" in declared)


def trust_of(authority: str, cert_file: str, key_file: str) -> Trust:
    """TLS trust for kubelets: the CAs in the file `authority`, or no check without one, as upstream."""
    ca = b""
    if authority:
        with open(authority, "rb") as file:
            ca = file.read()
    return Trust(ca, not ca, "", cert_file, key_file)


async def refused(answer: Answer, resource: str, name: str) -> errors.StatusError:
    """Turn a kubelet's error answer into a StatusError
    (GenericHttpResponseChecker, NewGenericServerResponse)."""
    try:
        text = (await answer.read(_ERROR_BYTES)).decode("utf-8", "replace")
    except ClientError as err:
        text = str(err)
    if answer.status == 500:
        return errors.internal(text)
    if answer.status == 400:
        return errors.BadRequest(text)
    kind, message = _GENERIC.get(answer.status, (None, ""))
    if kind is None:
        kind = errors.InternalError if answer.status > 500 else errors.Unknown
        message = f'an error on the server ("{text}") has prevented the request from succeeding'
        if answer.status < 500:
            code = answer.status
            message = f"the server responded with the status code {code} but did not return more information"
    error = kind(f"{message or text} ( {resource} {name})", details={"name": name, "kind": resource})
    error.code = answer.status
    return error


_GENERIC: dict[int, tuple[type[errors.StatusError], str]] = {
    401: (errors.Unauthorized, "the server has asked for the client to provide credentials"),
    403: (errors.Forbidden, ""),
    404: (errors.NotFound, refusals.NOT_FOUND),
    405: (errors.MethodNotAllowed, refusals.METHOD_NOT_ALLOWED),
    429: (
        errors.TooManyRequests,
        "the server has received too many requests and has asked us to try again later",
    ),
    503: (errors.ServiceUnavailable, "the server is currently unable to handle the request"),
    504: (
        errors.Timeout,
        "the server was unable to return a response in the time allotted, "
        "but may still be processing the request",
    ),
}
