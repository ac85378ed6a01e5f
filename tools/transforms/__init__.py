from tools.transforms.ct import CalibrateHUd, DropBlankSlicesd, PrepareCTd, ReplaceNaNd, ct_preprocessing
from tools.transforms.digest import chain_digest
from tools.transforms.mr import CropToHeadd, NormaliseT1d, RemoveBackgroundd, t1_preprocessing
from tools.transforms.spatial import ResizeVolumed, load_volume

__all__ = [
    "CalibrateHUd",
    "CropToHeadd",
    "DropBlankSlicesd",
    "NormaliseT1d",
    "PrepareCTd",
    "RemoveBackgroundd",
    "ReplaceNaNd",
    "ResizeVolumed",
    "chain_digest",
    "ct_preprocessing",
    "load_volume",
    "t1_preprocessing",
]
