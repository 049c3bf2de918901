"""Generated, compressed type data; no code lives here."""
