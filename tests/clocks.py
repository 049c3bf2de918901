"""A clock that stands still until the test moves it."""


class Clock:
    """A clock for code that takes one; `now` is in seconds."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
