"""``python -m tools benchmark``: what training costs in parameters, memory and time, beside what the paper printed."""
