"""API priority and fairness: requests take seats of their priority level, wait for them or are refused.
Imports registry."""
