"""``python -m tools benchmark``: what training costs in parameters, memory and time, beside what the paper printed."""

from tools.benchmark.command import benchmark

__all__ = ["benchmark"]
