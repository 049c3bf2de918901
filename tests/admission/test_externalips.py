"""Services take no new external IPs."""

from typing import Any

import pytest
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.externalips import DenyServiceExternalIPs

SERVICES = ("", "v1", "services")


def service(*ips: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"externalIPs": list(ips)} if ips else {}}


@pytest.mark.parametrize(
    ("new", "old", "allowed"),
    [
        (service(), None, True),
        (service("1.2.3.4"), None, False),
        (service("1.2.3.4"), service("1.2.3.4", "1.2.3.5"), True),
        (service("1.2.3.4", "1.2.3.5"), service("1.2.3.4"), False),
        (service(), service("1.2.3.4"), True),
    ],
)
async def test_external_ips(rig: Rig, new: Any, old: Any, allowed: bool) -> None:
    asked = rig.attributes(new, old, resource=SERVICES)
    assert is_asked(DenyServiceExternalIPs(), asked)
    try:
        DenyServiceExternalIPs().validate(asked)
        assert allowed
    except errors.Forbidden as err:
        assert not allowed
        assert err.message == 'services "s" is forbidden: Use of external IPs is denied by admission control'
