"""Puts other authorizers in force when --authorization-config, or a kubeconfig that it names, has changed."""

from collections.abc import Callable, Iterable, Sequence

from pilothouse.authz import configuration
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember
from pilothouse.authz.configuration import ConfiguredAuthorizer
from pilothouse.authz.webhook import WebhookAuthorizer
from pilothouse.outbound.kubeconfig import files_of
from pilothouse.reload import Files


class AuthorizationReload:
    """Puts other authorizers into the union; `make` makes them. `entries` are those of the file in force."""

    def __init__(
        self,
        path: str,
        entries: Sequence[ConfiguredAuthorizer],
        union: UnionAuthorizer,
        make: Callable[[Sequence[ConfiguredAuthorizer]], list[UnionMember]],
    ) -> None:
        self._path = path
        self._entries = entries
        self._union = union
        self._make = make

    def paths(self) -> Iterable[str]:
        """The file, and the kubeconfigs of its webhooks with what they name."""
        yield self._path
        for entry in self._entries:
            if entry.webhook is not None:
                yield from files_of(entry.webhook.kubeconfig)

    def read(self, files: Files) -> list[ConfiguredAuthorizer]:
        """The authorizers that the file names; ValueError when it cannot be used."""
        return configuration.read(files[self._path])

    def use(self, entries: Sequence[ConfiguredAuthorizer]) -> None:
        """Have requests from now on decided by these authorizers;
        ValueError or OSError when one cannot be made."""
        former = self._union.members
        self._union.replace(self._make(entries))
        self._entries = entries
        for member in former:
            if isinstance(member.authorizer, WebhookAuthorizer):
                member.authorizer.close()
