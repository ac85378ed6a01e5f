"""What a dataset looks like on disk, turned into MONAI datalists."""

from tools.former import former_names

__getattr__ = former_names(__name__)
