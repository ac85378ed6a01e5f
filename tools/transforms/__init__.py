from tools.transforms.ct import CalibrateHUd, ClipHUd, DropBlankSlicesd, ReplaceNaNd, ct_preprocessing
from tools.transforms.digest import chain_digest
from tools.transforms.mr import CropToHeadd, NormaliseT1d, RemoveBackgroundd, t1_preprocessing
from tools.transforms.spatial import ResizeVolumed, load_volume

__all__ = [
    "CalibrateHUd",
    "ClipHUd",
    "CropToHeadd",
    "DropBlankSlicesd",
    "NormaliseT1d",
    "RemoveBackgroundd",
    "ReplaceNaNd",
    "ResizeVolumed",
    "chain_digest",
    "ct_preprocessing",
    "load_volume",
    "t1_preprocessing",
]
