"""From what published networks make to files: an image alone, or an image with its label map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    MapTransform,
    Orientationd,
    ResizeWithPadOrCropd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    Spacingd,
)

from tools.files import file_name
from tools.io.dicom_writer import write_dicom_series
from tools.io.labelled_folder import LabelledFolder
from tools.io.nifti import write_nifti
from tools.transforms.maisi import BODY, CLASSES
from tools.transforms.spatial import load_volume
from tools.transforms.writing import WriteIntod

LABELS = "label_map"
"""Key under which a made image has its label map."""


class PlaceByCodesd(MapTransform):
    """Give generated volumes [channels, ...] a place in space, their centre at the origin, and a name.

    Args:
        keys: keys of the volumes.
        spacing: voxel size in mm along each axis.
        axcodes: directions that the axes run to, as ("R", "A", "S").
        name_key: key of the name that a writer uses for the file.
    """

    def __init__(
        self, keys: KeysCollection, spacing: Sequence[float], axcodes: Sequence[str] = "RAS", name_key: str = "name"
    ) -> None:
        super().__init__(keys)
        self.spacing = spacing
        self.axcodes = axcodes
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume = torch.as_tensor(d[key])
            affine = torch.zeros(4, 4, dtype=torch.float64)
            affine[3, 3] = 1
            for axis, (code, spacing) in enumerate(zip(self.axcodes, self.spacing, strict=True)):
                world = next(n for n, ends in enumerate(("RL", "AP", "SI")) if code in ends)
                step = spacing if code in "RAS" else -spacing
                affine[world, axis] = step
                affine[world, 3] = -step * (volume.shape[axis + 1] - 1) / 2
            d[key] = MetaTensor(volume, affine=affine, meta={"filename_or_obj": str(d[self.name_key])})
        return d


class SplitLabelsd(MapTransform):
    """Divide [2, ...], an image and its label map, into the image [1, ...] and, under `LABELS`, the map [1, ...].

    MAISI's value of the body becomes that of written files. What has one channel has no labels, and stays as it is.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            if len(d[key]) == 2:
                made, labels = d[key].split(1)
                d[key] = made
                d[LABELS] = torch.where(labels.round() == BODY, float(CLASSES["body"]), labels.round())
        return d


class WriteMaded(WriteIntod[LabelledFolder]):
    """Write made images [1, x, y, z], which have their place and unit, in whole numbers, with their labels if any.

    With labels they are the cases of a `LabelledFolder`; alone, `<name>.nii.gz` or a DICOM series in a folder `<name>`.

    Args:
        keys: keys of the images, MetaTensors in HU or grey values.
        folder: folder of labelled images, whose layout and modality serve images alone too.
        provenance: origin of the images, which every file says.
        name_key: key of the image's name.
        seed_key: key of the number that an image follows from.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        name, record = self.named(d)
        for key in self.key_iterator(d):
            affine = np.asarray(d[key].affine, np.float64)
            image = d[key].as_tensor()[0].round().cpu().numpy()
            if LABELS in d:
                label = torch.as_tensor(d[LABELS])[0].cpu().numpy().astype(np.uint8)
                self.folder.add(name, [image], label, affine, record)
            elif self.folder.layout == "dicom":
                rescale = (1, -1024) if self.folder.modality == "CT" else (1, 0)
                write_dicom_series(
                    self.folder.folder / file_name(name, ""),
                    image.astype(np.int16),
                    affine,
                    self.folder.modality,
                    description=f"{self.folder.name}: {self.folder.images[0]}",
                    rescale=rescale,
                    patient=name,
                    provenance=record,
                    uid_seed=f"{name} {record}",
                )
            else:
                write_nifti(self.folder.folder / file_name(name, ".nii.gz"), image.astype(np.int16), affine, record)
        return d


def real_volumes(
    size: Sequence[int], spacing: Sequence[float], axcodes: str = "RAS", window: Sequence[float] | None = None
) -> Compose:
    """From an item with the path of a volume to "image" [1, D, H, W] in [-1, 1], on the grid of what is made.

    It is resampled linearly, and cropped or padded around its centre, as the networks' training volumes were; axes then
    run to the head, the back and the left, as a report takes them.

    Args:
        size: voxels along the axes of what is made.
        spacing: their size in mm.
        axcodes: directions that these axes run to.
        window: values that -1 and 1 stand for; None takes 0 and the 99.5th percentile of a volume.
    """
    if window is None:
        scale = ScaleIntensityRangePercentilesd("image", 0, 99.5, -1, 1, clip=True)
    else:
        scale = ScaleIntensityRanged("image", *window, -1, 1, clip=True)
    return Compose(
        [
            *load_volume(),
            Orientationd("image", axcodes=axcodes, labels=None),
            Spacingd("image", pixdim=tuple(spacing), mode="bilinear"),
            scale,
            ResizeWithPadOrCropd("image", spatial_size=tuple(size), mode="constant", value=-1),
            Orientationd("image", axcodes="SPL", labels=None),
        ]
    )
