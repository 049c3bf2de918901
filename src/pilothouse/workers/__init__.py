"""Several processes that serve as one: their supervisor, and their metrics together."""
