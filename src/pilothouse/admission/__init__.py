"""The last look at a write: change it or refuse it. Imports registry readers and api."""
