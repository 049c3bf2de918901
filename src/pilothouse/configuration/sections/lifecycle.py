"""The start and the stop of a server as load balancers see them."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, generic
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class LifecycleOptions(Section):
    """The start and the stop of a server as load balancers see them."""

    # fmt: off
    livez_grace_period: float = generic(0.0, "duration",
        "Time after the start in which livez does not yet fail.")
    send_retry_after_while_not_ready_once: bool = generic(False, "bool",
        "Answer 429 with Retry-After until the server was ready once.", effective=False)
    shutdown_delay_duration: float = generic(0.0, "duration",
        "Time between readyz failing and the listener closing, for load balancers to notice.")
    shutdown_send_retry_after: bool = generic(False, "bool",
        "Answer 429 with Retry-After and close connections once the delay of a shutdown is over; health is "
        "told all the same.")
    shutdown_watch_termination_grace_period: float = generic(0.0, "duration",
        "Time in which watches are ended, spread out, at shutdown.", effective=False)
    storage_initialization_timeout: float = generic(60.0, "duration",
        "Time to wait for the storage before readyz reports it.", effective=False)
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: times below 0."""
        yield from self.negative(
            "livez_grace_period",
            "storage_initialization_timeout",
            "shutdown_delay_duration",
            "shutdown_watch_termination_grace_period",
        )
