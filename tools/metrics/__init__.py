"""Distances between sets of images, and errors against a known truth: plain functions from arrays to numbers."""

from tools.former import former_names

__getattr__ = former_names(__name__)
