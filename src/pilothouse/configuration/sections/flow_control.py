"""The number of requests that may be under way at once."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, features, generic
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class FlowControlOptions(Section):
    """The number of requests that may be under way at once."""

    # fmt: off
    enable_priority_and_fairness: bool = features(True, "bool",
        "Queue requests by FlowSchema and priority level; otherwise the two in-flight limits count alone.")
    max_mutating_requests_inflight: int = generic(200, "int",
        "Writes that may be under way at once; with --max-requests-inflight the seats of priority and "
        "fairness.")
    max_requests_inflight: int = generic(400, "int",
        "Reads that may be under way at once; with --max-mutating-requests-inflight the seats of "
        "priority and fairness.")
    # fmt: on

    def faults(self) -> Iterator[str]:
        """Yield the faults: limits below 0, and limits that admit no request."""
        yield from self.negative("max_requests_inflight", "max_mutating_requests_inflight")
        most = self.max_requests_inflight + self.max_mutating_requests_inflight
        if self.enable_priority_and_fairness and most <= 0:
            yield "--max-requests-inflight and --max-mutating-requests-inflight must not both be 0"
