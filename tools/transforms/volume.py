"""From a generator's output to a volume on disk."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, PathLike
from monai.data import MetaTensor, NibabelWriter
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from tools.files import file_name
from tools.io.nifti import write_nifti
from tools.io.provenance import KEY, Provenance, Record
from tools.transforms.flat import as_volume

UNIT = "unit"
"""Key of an image's metadata: the unit of its values."""


class PlaceVolumed(MapTransform):
    """Give generated volumes [channels, axial, rows, columns] a place in space: spacing, orientation and a name.

    Slices [channels, rows, columns] become volumes of one. Axes run to the head, the back and the left, as in the
    training volumes; the centre is the origin.

    Args:
        keys: keys of the volumes.
        field_of_view: extent of a volume in mm [axial, rows, columns], or the item's key of it.
        name_key: key of the name that a writer uses for the file.
    """

    def __init__(self, keys: KeysCollection, field_of_view: Sequence[float] | str, name_key: str = "name") -> None:
        super().__init__(keys)
        self.field_of_view = field_of_view
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        placed = dict(data)
        extent = self.field_of_view
        if isinstance(extent, str):
            extent = [float(length) for length in placed[extent]]
        for key in self.key_iterator(placed):
            volume = as_volume(torch.as_tensor(placed[key]))
            affine = torch.zeros(4, 4, dtype=torch.float64)
            affine[3, 3] = 1
            # NIfTI's world axes run to the right (0), the front (1) and the head (2)
            for axis, (world, sign) in enumerate(((2, 1), (1, -1), (0, -1))):
                spacing = extent[axis] / volume.shape[axis + 1]
                affine[world, axis] = sign * spacing
                affine[world, 3] = -sign * spacing * (volume.shape[axis + 1] - 1) / 2
            placed[key] = MetaTensor(volume, affine=affine, meta={"filename_or_obj": str(placed[self.name_key])})
        return placed


class StateProvenanced(MapTransform):
    """Put into the metadata of volumes where they come from, for `WholeFileWriter`.

    Args:
        keys: keys of MetaTensors.
        provenance: origin of the volumes.
        seed_key: key of the number that a volume follows from; may be missing.
    """

    def __init__(self, keys: KeysCollection, provenance: Provenance, seed_key: str = "seed") -> None:
        super().__init__(keys)
        self.provenance = provenance
        self.seed_key = seed_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        stated = dict(data)
        seed = stated.get(self.seed_key)
        for key in self.key_iterator(stated):
            stated[key] = stated[key].clone()
            stated[key].meta[KEY] = self.provenance.record(None if seed is None else int(seed))
        return stated


class StateUnitd(MapTransform):
    """Put the unit of images into their metadata, under `UNIT`: the last step before they are written or handed over.

    Args:
        keys: keys of MetaTensors; a tensor without metadata becomes one.
        unit: unit of their values: "HU", "grey values".
    """

    def __init__(self, keys: KeysCollection, unit: str) -> None:
        super().__init__(keys)
        self.unit = unit

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        stated = dict(data)
        for key in self.key_iterator(stated):
            stated[key] = convert_to_tensor(stated[key], track_meta=True)
            stated[key].meta[UNIT] = self.unit
        return stated


class NameByIdd(MapTransform):
    """Have a writer name volumes by the id of their item, which is unique in a dataset.

    Left to itself `SaveImaged` takes the name of the file or folder that was read, and the folders of DICOM series are
    often all named alike. Slashes become underscores.

    Args:
        keys: keys of MetaTensors; the item has their name under "id".
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            d[key].meta["filename_or_obj"] = file_name(d["id"], ".nii")  # whose ending a writer replaces
        return d


class WholeFileWriter(NibabelWriter):
    """A NIfTI writer whose file appears under its name only when it is complete; see `write_nifti`.

    It says what `StateProvenanced` left in the volume's metadata. A name that is too long for a file, as one with a
    postfix may be, is cut.
    """

    record: Record | None = None

    def set_metadata(self, meta_dict: Mapping | None = None, resample: bool = True, **options: Any) -> None:
        super().set_metadata(meta_dict, resample, **options)
        self.record = (meta_dict or {}).get(KEY)

    def write(self, filename: PathLike, verbose: bool = False, **kwargs: Any) -> None:
        image = self.create_backend_obj(self.data_obj, affine=self.affine, dtype=self.output_dtype, **kwargs)
        path = Path(filename)
        ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
        path = path.with_name(file_name(path.name.removesuffix(ending), ending))
        write_nifti(path, np.asanyarray(image.dataobj), image.affine, self.record)
