"""Many stores in one: each has its own keys and revisions, and all are kept in one journal."""
