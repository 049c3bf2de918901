"""Anonymous requests, as the flags and the authorizers let them in."""

from pilothouse.assembly.authz import anonymous_may_ask
from pilothouse.assembly.jwt import authentication
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember
from pilothouse.authz.modes import AlwaysDeny, entries_of
from pilothouse.configuration import options


def let_in(*flags: str) -> bool:
    config = options.parse(flags)
    union = UnionAuthorizer(
        [UnionMember(AlwaysDeny(), entry.type) for entry in entries_of(config.authorization.modes)]
    )
    return anonymous_may_ask(authentication(config.authentication).anonymous.enabled, union)


def test_anonymous_access_and_always_allow_do_not_go_together() -> None:
    assert let_in()
    assert not let_in("--anonymous-auth=false")
    assert not let_in("--authorization-mode=AlwaysAllow")
    assert not let_in("--authorization-mode=RBAC,AlwaysAllow", "--anonymous-auth=true")
    assert let_in("--authorization-mode=RBAC,AlwaysDeny")
