"""How long a container waits that has ended, before it is restarted (kubelet's crash loop back-off)."""

FIRST, LONGEST = 10.0, 300.0
"""Seconds before the second restart, which double with each further one, and the most of them."""

RESET = 2 * LONGEST
"""A container that has run for so long begins anew."""


class Backoff:
    """The back-off of one container."""

    __slots__ = ("_restarts",)

    def __init__(self, restarts: int = 0) -> None:
        self._restarts = restarts

    def delay(self, ran: float) -> float:
        """Seconds to wait after a container that has ended had run for `ran`; the first time 0."""
        if ran >= RESET:
            self._restarts = 0
        number, self._restarts = self._restarts, self._restarts + 1
        return 0.0 if number == 0 else min(FIRST * (1 << min(number - 1, 10)), LONGEST)


def shown(seconds: float) -> str:
    """A back-off as the kubelet's messages have it: `1m20s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
