"""``python -m tools rank``: who is best, by the reports of several models."""
