"""One request: its parameters, its context, the form of its answer,
how it is refused, and headers of browsers."""
