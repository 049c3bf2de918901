"""Authorization: whether a user may make a request. Imports registry readers and api.values.identity."""
