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
                    self._save_series(folder, voxels, affine, str(made.meta["filename_or_obj"]), record)
        return d

    def _save_series(
        self, folder: Path, voxels: np.ndarray, affine: np.ndarray, source: str, record: Record | None
    ) -> None:
        reference = source_path(source)
        shutil.rmtree(folder, ignore_errors=True)
        write_dicom_series(
            folder,
            voxels,
            without_shear(affine, voxels.shape),  # as the reader let it pass, it moves nothing
            self.modality,
            description=f"synthetic {self.modality}, not for diagnosis",
            reference=reference if os.path.isdir(reference) else None,
            rescale=(1, -1024) if self.modality == "CT" else (1, 0),
            patient=folder.name,
            provenance=record,
        )
