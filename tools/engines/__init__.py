"""The trainer that every family shares, and the handlers around it."""

from tools.former import former_names

__getattr__ = former_names(__name__)
