"""`python -m tools evaluate`: folders of synthetic images against a folder of real ones, in one report."""

from tools.evaluate.command import evaluate

__all__ = ["evaluate"]
