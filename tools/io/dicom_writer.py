"""Volumes written as DICOM series that others can load; `dicom` reads them."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from monai.data.utils import orientation_ras_lps
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from tools.errors import check_choice
from tools.files import whole_folder
from tools.io.dicom import any_slice
from tools.io.provenance import Record, describe_dicom

SOP_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}


def write_dicom_series(
    folder: str | os.PathLike,
    volume: np.ndarray,
    affine: np.ndarray,
    modality: str = "CT",
    *,
    description: str = "",
    reference: str | os.PathLike | Dataset | None = None,
    image_type: Sequence[str] = ("DERIVED", "SECONDARY", "AXIAL"),
    rescale: tuple[float, float] = (1, -1024),
    bits_stored: int = 16,
    signed: bool = False,
    echo_time: float | None = None,
    repetition_time: float | None = None,
    patient: str = "ANONYMOUS",
    provenance: Record | None = None,
    series_per_file: bool = False,
    uid_seed: str | None = None,
    names: str = "IMG-0001-{:05d}.dcm",
) -> Path:
    """Writes a synthetic volume as one DICOM series that says so, and that a planning system can load.

    Args:
        folder: folder to create; it appears when it is complete.
        volume: [x, y, z], in HU for CT.
        affine: 4x4, voxel index to millimetres in RAS.
        modality: "CT" or "MR".
        description: description of the series.
        reference: a slice of the study that this was made from, or a folder with its slices, of one echo or several:
            patient, study and frame of reference are taken over, so that both lie in one study and one space.
        image_type: ORIGINAL or DERIVED, PRIMARY or SECONDARY, and so on.
        rescale: slope and intercept; value = slope * stored + intercept.
        bits_stored: number of bits, 12 or 16, of 16 allocated.
        signed: True for stored values with a sign.
        echo_time: echo time in ms, for MR; None leaves the tag out.
        repetition_time: repetition time in ms, for MR; None leaves the tag out.
        patient: name and id where there is no reference.
        provenance: origin of the volume, see `tools.io.provenance`.
        series_per_file: True gives every file its own SeriesInstanceUID, as CHAOS's anonymisation did.
        uid_seed: text that UIDs follow from, with fixed dates; None draws new ones.
        names: pattern of the files' names, formatted with the slice's number from 1.

    Raises:
        FileExistsError: the folder holds something already.
        FileNotFoundError: the reference is a folder that does not exist.
        VolumeError: the reference has no slice.
        ValueError: another modality, a volume that is not 3D or empty, an affine that shears, or values that the stored
            type cannot hold.
    """
    folder = Path(folder)
    check_choice("modality", modality, SOP_CLASSES)
    if volume.ndim != 3 or not volume.size:
        raise ValueError(f"expected a volume [x, y, z] with voxels, got shape {volume.shape}")
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty; choose another folder, or remove it")
    stored = _stored(volume, rescale, bits_stored, signed)
    geometry = _Geometry.of(affine)
    common = _common(reference, patient, uid_seed)
    if provenance is not None:
        describe_dicom(common, provenance)
    with whole_folder(folder) as unfinished:
        for index in range(volume.shape[2]):
            dataset = _slice(common, geometry, stored[..., index], index, modality, uid_seed, series_per_file)
            dataset.SeriesDescription, dataset.ImageType = description, list(image_type)
            dataset.RescaleSlope, dataset.RescaleIntercept = rescale
            if modality == "CT":
                dataset.RescaleType, dataset.KVP = "HU", None
                dataset.AcquisitionNumber = None
            else:
                dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "RM", "NONE", ""
                dataset.MRAcquisitionType = "2D"
                dataset.EchoTrainLength = None
                for name, milliseconds in (("EchoTime", echo_time), ("RepetitionTime", repetition_time)):
                    if milliseconds is not None:  # readers take an empty one for a broken one
                        setattr(dataset, name, milliseconds)
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits_stored, bits_stored - 1
            dataset.PixelRepresentation = int(signed)
            if image_type[0] == "DERIVED":
                dataset.DerivationDescription = description or "computed from other images"
            dataset.save_as(unfinished / names.format(index + 1), enforce_file_format=True)
    return folder


@dataclass(frozen=True)
class _Geometry:
    """DICOM's way to say what an affine says, in LPS."""

    row: np.ndarray
    column: np.ndarray
    spacing: np.ndarray
    origin: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, affine: np.ndarray) -> _Geometry:
        lps = orientation_ras_lps(np.asarray(affine, float))
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        directions = lps[:3, :3] / spacing
        if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-3):
            raise ValueError(
                "DICOM slices are rectangular and stacked at right angles; the affine shears: resample first"
            )
        return cls(directions[:, 0], directions[:, 1], spacing, lps[:3, 3], lps[:3, 2])

    def position(self, index: int) -> list[str]:
        return [_decimal(v) for v in self.origin + index * self.step]


def _decimal(value: float) -> str:
    """A DICOM decimal string, at most 16 characters."""
    return f"{round(float(value), 6) + 0.0:.10g}"


def _stored(volume: np.ndarray, rescale: tuple[float, float], bits_stored: int, signed: bool) -> np.ndarray:
    if bits_stored not in (12, 16):
        raise ValueError(f"bits_stored is {bits_stored}, expected 12 or 16")
    slope, intercept = rescale
    values = np.round((np.asarray(volume, np.float64) - intercept) / slope)
    low, high = (-(2 ** (bits_stored - 1)), 2 ** (bits_stored - 1) - 1) if signed else (0, 2**bits_stored - 1)
    if not np.isfinite(values).all() or values.min() < low or values.max() > high:
        raise ValueError(
            f"values from {np.min(volume):g} to {np.max(volume):g} do not fit into {bits_stored} bits with slope "
            f"{slope} and intercept {intercept}: clip them to "
            f"[{low * slope + intercept:g}, {high * slope + intercept:g}]"
        )
    return values.astype(np.int16 if signed else np.uint16)


CARRIED_OVER = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientPosition",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
)


def _common(reference: str | os.PathLike | Dataset | None, patient: str, uid_seed: str | None) -> Dataset:
    """Return what all slices share."""
    common = Dataset()
    if reference is not None and not isinstance(reference, Dataset):
        reference = any_slice(reference)
    for name in CARRIED_OVER:
        setattr(common, name, "" if reference is None else _whole_tag(reference, name))
    if reference is None:
        common.PatientName = common.PatientID = patient
        common.PatientPosition = "HFS"
    common.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, whatever the reference has
    common.StudyInstanceUID = common.StudyInstanceUID or _uid(uid_seed, "study")
    common.FrameOfReferenceUID = common.FrameOfReferenceUID or _uid(uid_seed, "frame")
    common.SeriesInstanceUID = _uid(uid_seed, "series")
    now = datetime.datetime.now() if uid_seed is None else datetime.datetime(2000, 1, 1)
    common.StudyDate, common.StudyTime = common.StudyDate or f"{now:%Y%m%d}", common.StudyTime or f"{now:%H%M%S}"
    common.SeriesDate = common.ContentDate = f"{now:%Y%m%d}"
    common.SeriesTime = common.ContentTime = f"{now:%H%M%S}"
    common.Manufacturer, common.PositionReferenceIndicator, common.SeriesNumber = "", "", 1
    common.SyntheticData = "YES"
    return common


def _whole_tag(reference: Dataset, name: str) -> object:
    """A tag's value, "" if it is missing or broken: what cannot be read cannot be handed on."""
    try:
        return reference.get(name, "")
    except Exception:  # pydicom converts a value when it is asked for, and raises many kinds
        return ""


def _uid(seed: str | None, *what: str | int) -> str:
    return generate_uid(entropy_srcs=None if seed is None else [seed, *map(str, what)])


def _slice(
    common: Dataset,
    geometry: _Geometry,
    stored: np.ndarray,
    index: int,
    modality: str,
    uid_seed: str | None,
    series_per_file: bool,
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SOP_CLASSES[modality]
    meta.MediaStorageSOPInstanceUID = _uid(uid_seed, "instance", index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, common.copy(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    if series_per_file:
        dataset.SeriesInstanceUID = _uid(uid_seed, "series", index)
    dataset.Modality, dataset.InstanceNumber = modality, index + 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = stored.shape
    dataset.PixelSpacing = [_decimal(geometry.spacing[1]), _decimal(geometry.spacing[0])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimal(geometry.spacing[2])
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*geometry.row, *geometry.column)]
    dataset.ImagePositionPatient = geometry.position(index)
    dataset.PixelData = np.ascontiguousarray(stored.T).tobytes()
    return dataset
