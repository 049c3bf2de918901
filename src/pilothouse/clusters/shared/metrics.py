"""The metrics of logical clusters that several servers divide."""

from pilothouse.metrics.instruments import Counter, Group


class SharedMetrics(Group):
    """How often clusters change their server, and requests are forwarded."""

    def __init__(self) -> None:
        self.forwarded = Counter(
            "pilothouse_clusters_forwarded_requests_total",
            "[ALPHA] Requests that were forwarded to the server that has their logical cluster, by the code"
            " of the answer.",
            ("code",),
        )
        self.taken_over = Counter(
            "pilothouse_clusters_taken_over_total",
            "[ALPHA] Logical clusters that were taken over from a server that has gone.",
        )
        self.lost = Counter(
            "pilothouse_clusters_lost_total",
            "[ALPHA] Logical clusters that were given up because another server may have claimed them.",
        )
