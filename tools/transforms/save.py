"""Writing translated volumes as NIfTI and DICOM."""

from __future__ import annotations

import os
import shutil
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from tools.files import file_name
from tools.io.dicom_writer import write_dicom_series
from tools.io.nifti import write_nifti
from tools.io.provenance import Provenance, Record
from tools.io.volume import without_shear
from tools.io.volume_reader import source_path


class SaveTranslationd(MapTransform):
    """Writes volumes as `<id>_<name>.nii.gz` and, on request, as DICOM series in folders `<id>_<name>`.

    Slashes in the id become underscores, and an id that is too long for a file's name is cut. An existing DICOM folder
    of that name is replaced.

    Args:
        keys: keys of volumes [channels, x, y, z] from `ToSourceAxesd`, in whole numbers.
        output_dir: folder for the files, made if need be.
        names: names of the channels.
        modality: "CT" (HU) or "MR" (not negative), of the DICOM series.
        dicom: True writes a DICOM series too. Its patient, study and frame of reference are those of the source if that
            is DICOM.
        provenance: origin of the volumes, which every file names.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        names: Sequence[str] = ("ct",),
        modality: str = "CT",
        dicom: bool = False,
        provenance: Provenance | None = None,
    ) -> None:
        super().__init__(keys)
        self.output_dir = Path(output_dir)
        self.names = tuple(names)
        self.modality = modality
        self.dicom = dicom
        self.provenance = provenance

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        record = None if self.provenance is None else self.provenance.record()
        for key in self.key_iterator(d):
            made = d[key]
            affine = np.asarray(made.affine, np.float64)
            for name, channel in zip(self.names, made.as_tensor(), strict=True):
                voxels = convert_to_numpy(channel).astype(np.int16)  # from a GPU too
                write_nifti(self.output_dir / file_name(d["id"], f"_{name}.nii.gz"), voxels, affine, record)
                if self.dicom:
                    folder = self.output_dir / file_name(d["id"], f"_{name}")
                    source = source_path(str(made.meta["filename_or_obj"]))
                    reference = source if os.path.isdir(source) else None
                    save_series(folder, voxels, affine, self.modality, record, reference)
        return d


class SaveSeriesd(MapTransform):
    """Writes volumes [1, x, y, z], whole numbers with a place, as DICOM series in folders `<name>`.

    An existing folder of that name is replaced.

    Args:
        keys: keys of MetaTensors.
        output_dir: folder for the series, made if need be.
        modality: "CT" (HU) or "MR" (not negative).
        provenance: origin of the volumes, which every file names.
        name_key: key of a volume's name.
        seed_key: key of the number that a volume follows from; may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        modality: str,
        provenance: Provenance,
        name_key: str = "name",
        seed_key: str = "seed",
    ) -> None:
        super().__init__(keys)
        self.output_dir = Path(output_dir)
        self.modality = modality
        self.provenance = provenance
        self.name_key = name_key
        self.seed_key = seed_key

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        seed = d.get(self.seed_key)
        record = self.provenance.record(None if seed is None else int(seed))
        for key in self.key_iterator(d):
            voxels = convert_to_numpy(d[key].as_tensor()[0]).astype(np.int16)
            affine = np.asarray(d[key].affine, np.float64)
            save_series(self.output_dir / file_name(d[self.name_key], ""), voxels, affine, self.modality, record)
        return d


def save_series(
    folder: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    modality: str,
    record: Record | None,
    reference: str | os.PathLike | None = None,
) -> None:
    """A DICOM series of a synthetic volume in the place of the folder, if there is one.

    Args:
        folder: folder of the series.
        voxels: int16 [x, y, z].
        affine: 4x4, voxel index to millimetres in RAS.
        modality: "CT" or "MR".
        record: origin of the volume.
        reference: folder of DICOM slices whose patient, study and frame of reference it has; None for its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_dicom_series(
        folder,
        voxels,
        without_shear(affine, voxels.shape),  # as the reader let it pass, it moves nothing
        modality,
        description=f"synthetic {modality}, not for diagnosis",
        reference=reference,
        rescale=(1, -1024) if modality == "CT" else (1, 0),
        patient=folder.name,
        provenance=record,
    )
