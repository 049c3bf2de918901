"""Answers: objects, lists and statuses in the form that was negotiated."""
