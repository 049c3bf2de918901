"""The verbs on stored objects, one file per verb, and the scope of a write."""
