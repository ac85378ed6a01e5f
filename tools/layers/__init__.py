"""Parts that several networks use."""

from tools.former import former_names

__getattr__ = former_names(__name__)
