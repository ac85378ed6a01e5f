from tools.transforms.ct import CalibrateHUd, ClipHUd, DropBlankSlicesd, ReplaceNaNd, ResizeVolumed, ct_preprocessing
from tools.transforms.digest import chain_digest

__all__ = [
    "CalibrateHUd",
    "ClipHUd",
    "DropBlankSlicesd",
    "ReplaceNaNd",
    "ResizeVolumed",
    "chain_digest",
    "ct_preprocessing",
]
